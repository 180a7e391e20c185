/** A line without its newline; null for one that was too long to keep. */
export type Line = { readonly text: string | null; readonly bytes: number }
