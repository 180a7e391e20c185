import { posix } from 'node:path'
import ts from 'typescript'

/** Path from the repository's root, with slashes, to text. */
export type FileMap = ReadonlyMap<string, string>

export type Import = {
  readonly specifier: string
  /** Erased before the code runs. */
  readonly typeOnly: boolean
}

/** What the rules look at in one TypeScript or JavaScript file. */
export type Source = {
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
  /** Identifiers and the texts of literals: what the code says, without its comments. */
  readonly words: readonly string[]
  /** Syntax that Node cannot erase, by its name. */
  readonly inerasable: readonly string[]
}

export const codeExtension = /\.(?:ts|mts|mjs|js)$/

export function sourcesOf(files: FileMap): readonly Source[] {
  return [...files].filter(([path]) => codeExtension.test(path)).map(([path, text]) => sourceOf(path, text))
}

export function sourceOf(path: string, text: string): Source {
  const imports: Import[] = []
  const words: string[] = []
  const inerasable: string[] = []
  const visit = (node: ts.Node): void => {
    const found = importOf(node)
    if (found) imports.push(found)
    if (ts.isIdentifier(node) || ts.isStringLiteralLike(node) || ts.isTemplateLiteralToken(node)) words.push(node.text)
    const form = inerasableForm(node)
    if (form !== null) inerasable.push(form)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true))
  return { path, text, imports, words, inerasable }
}

function importOf(node: ts.Node): Import | null {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typeOnly: isErased(node.importClause) }
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typeOnly: node.isTypeOnly }
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return { specifier: node.argument.literal.text, typeOnly: true }
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments
    return argument && ts.isStringLiteralLike(argument) ? { specifier: argument.text, typeOnly: false } : null
  }
  return null
}

function isErased(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  const bindings = clause.namedBindings
  return (
    clause.name === undefined &&
    bindings !== undefined &&
    ts.isNamedImports(bindings) &&
    bindings.elements.every((element) => element.isTypeOnly)
  )
}

function inerasableForm(node: ts.Node): string | null {
  if (ts.isEnumDeclaration(node)) return `enum ${node.name.text}`
  if (ts.isDecorator(node)) return 'decorator'
  if (ts.isImportEqualsDeclaration(node)) return 'import ='
  if (ts.isModuleDeclaration(node)) {
    const declared = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword) ?? false
    return declared ? null : `namespace ${node.name.text}`
  }
  const isProperty = ts.isParameter(node) && ts.isParameterPropertyDeclaration(node, node.parent)
  return isProperty ? `parameter property ${node.name.getText()}` : null
}

export function isRelative(specifier: string): boolean {
  return specifier.startsWith('./') || specifier.startsWith('../')
}

/** The path from the root that a relative import means. */
export function resolvedPath(from: string, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(from), specifier))
}

/** The package of a bare import; null for relative ones and for what Node brings with it. */
export function packageOf(specifier: string): string | null {
  if (isRelative(specifier) || specifier.startsWith('node:') || specifier.startsWith('#')) return null
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
