const pace = Number(process.env.TELLTALE_DEMO_PACE || 1)

/** How long the demonstration takes for what would take `ms`: with TELLTALE_DEMO_PACE=0.2 a fifth of it, for tests. */
export function paced(ms: number): number {
  return ms * pace
}
