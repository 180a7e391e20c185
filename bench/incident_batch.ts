import type { Batch, Span } from '../src/core/record.ts'
import type { WhyQuestion } from '../src/core/why/why_data.ts'
import { diceOf } from './incident_chance.ts'
import type { Incident } from './incident_of.ts'

// Few enough that a batch whose spans have many attributes stays below a MiB.
const recordsMax = 200

export type SentIncident = {
  /** In the order in which they arrive. */
  readonly batches: readonly Batch[]
  /** The question, at the time to which the incident was moved. */
  readonly question: WhyQuestion
  /** What was added to every time, in µs. */
  readonly movedUs: number
}

/**
 * The same incident as its reporters would send it: each process its own batches, in the order in which spans end. It
 * is moved so that it ends at `endUs`, since ingest takes nothing older than 29 days.
 */
export function batchesOf(incident: Incident, endUs: number): SentIncident {
  const { question, processes } = incident.data
  const movedUs = endUs - question.to_us
  const byProcess = new Map<string, Span[]>()
  for (const { spans } of incident.played) {
    for (const { process, span } of spans) {
      const own = byProcess.get(process) ?? []
      if (own.length === 0) byProcess.set(process, own)
      own.push(moved(span, movedUs))
    }
  }
  const dice = diceOf(incident.seed)
  const batches = [...byProcess].flatMap(([id, spans]) => {
    const info = processes[id]
    if (info === undefined) throw new Error(`Cannot send what process ${id} recorded: nothing is known of it`)
    const { service, instance, environment, version, host, started_us } = info
    const pid = dice.whole(2, 60_000)
    spans.sort((a, b) => toldAt(a) - toldAt(b))
    return piecesOf(spans, recordsMax).map((records, index): Batch => {
      return {
        batch_id: dice.uuid(),
        made_at_us: toldAt(records.at(-1) as Span) + 1_000,
        source: { service, instance, environment, version },
        process: { id, started_at_us: started_us + movedUs, host, pid, sdk: 'telltale-js/0.1.0' },
        seq: index + 1,
        piece: [1, 1],
        counters: { recorded: Math.min(spans.length, (index + 1) * recordsMax), dropped: {} },
        running: [],
        running_total: 0,
        records,
      }
    })
  })
  return {
    batches: batches.toSorted((a, b) => a.made_at_us - b.made_at_us),
    question: movedQuestion(question, movedUs),
    movedUs,
  }
}

function moved(span: Span, us: number): Span {
  return { ...span, start_us: span.start_us + us, end_us: span.end_us === null ? null : span.end_us + us }
}

function toldAt({ start_us, end_us }: Span): number {
  return end_us ?? start_us
}

function piecesOf<T>(items: readonly T[], most: number): T[][] {
  const pieces: T[][] = []
  for (let from = 0; from < items.length; from += most) pieces.push(items.slice(from, from + most))
  return pieces
}

function movedQuestion(question: WhyQuestion, us: number): WhyQuestion {
  const { after_us, region, from_us, to_us } = question
  return {
    ...question,
    after_us: after_us === null ? null : after_us + us,
    region: region && { ...region, from_us: region.from_us + us, to_us: region.to_us + us },
    from_us: from_us + us,
    to_us: to_us + us,
  }
}
