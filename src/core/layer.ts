/** The six layers that every deployment knows, outermost first. A deployment may add its own, see `layersMax`. */
export const layers = ['shim', 'websocket', 'tool', 'provider', 'api', 'storage'] as const

export type Layer = (typeof layers)[number] | (string & {})

const aliases: ReadonlyMap<string, Layer> = new Map<string, Layer>([
  ['stdio', 'shim'],
  ['ws', 'websocket'],
  ['daemon', 'websocket'],
  ['tool layer', 'tool'],
  ['tools', 'tool'],
  ['provider layer', 'provider'],
  ['providers', 'provider'],
  ['ai api', 'api'],
  ['ai api layer', 'api'],
  ['api layer', 'api'],
  ['kimi', 'api'],
  ['glm', 'api'],
  ['storage layer', 'storage'],
  ['supabase', 'storage'],
  ['database', 'storage'],
  ['redis', 'storage'],
])

/** The layer that a name means: aliases of the six are mapped, any other name stays, in lower case. */
export function layerOf(name: string): Layer {
  const key = name.trim().toLowerCase()
  return aliases.get(key) ?? key
}
