import { rightsAtOnceMax, rightsWaitingMax } from '../core/limit.ts'
import { err, ok, type Result } from '../core/result.ts'
import type { Caller, Role } from './claims.ts'
import { type Database, DatabaseError } from './database.ts'

/** What a caller may do on a private channel, with broadcasts and with presence. */
export type Rights = {
  readonly read: boolean
  readonly write: boolean
  readonly seePresence: boolean
  readonly tellPresence: boolean
}

export const allRights: Rights = { read: true, write: true, seePresence: true, tellPresence: true }

/** An error says that the database could not be asked. */
export type RightsReader = (caller: Caller, topic: string) => Promise<Result<Rights>>

const none: Rights = { read: false, write: false, seePresence: false, tellPresence: false }
/** How the statement answers: by an error, so that whatever it wrote is rolled back. */
const answerCode = 'TT010'

/**
 * As Supabase Realtime judges: a row of the topic is there, and the caller sees it or not; the caller writes one, or is
 * refused; nothing remains. The topic, the claims and the role come as settings, so no text of a caller's is in it.
 * @see https://supabase.com/docs/guides/realtime/authorization
 */
const judgement = `do $judgement$
declare
  kinds constant text[] := array['broadcast', 'presence'];
  probes uuid[] := array[pg_catalog.gen_random_uuid(), pg_catalog.gen_random_uuid()];
  caller text := current_setting('telltale.caller');
  kind text;
  writable boolean[] := '{}';
  readable text[];
begin
  perform set_config('role', 'service_role', true);
  insert into realtime.messages (id, topic, extension)
  select probe, current_setting('realtime.topic'), asked from rows from (pg_catalog.unnest(probes), pg_catalog.unnest(kinds)) as one(probe, asked);
  perform set_config('role', caller, true);
  select coalesce(array_agg(extension), '{}') from realtime.messages where id = any (probes) into readable;
  foreach kind in array kinds loop
    begin
      insert into realtime.messages (topic, extension) values (current_setting('realtime.topic'), kind);
      writable := writable || true;
    exception when insufficient_privilege then
      writable := writable || false;
    end;
  end loop;
  raise exception 'telltale: rights on a channel, judged and rolled back'
    using errcode = '${answerCode}', detail = json_build_object('read', 'broadcast' = any (readable), 'write', writable[1],
      'seePresence', 'presence' = any (readable), 'tellPresence', writable[2])::text;
end
$judgement$`

/**
 * Reads rights from the policies on realtime.messages. Those who ask for the same at once share one answer, and at most
 * `rightsAtOnceMax` questions are with the database, so that a thousand pages that come back leave it to others too. Users
 * go before those who show no more than the key that every page has.
 * The secret key is bound by no policy, and asks none. A policy that fails gives no rights; `log` hears of it.
 */
export function createRightsReader(database: Pick<Database, 'query'>, log: (line: string) => void): RightsReader {
  const asked = new Map<string, Promise<Result<Rights>>>()
  const users: (() => void)[] = []
  const others: (() => void)[] = []
  let busy = 0

  const inTurn = async (role: Role, work: () => Promise<Result<Rights>>): Promise<Result<Rights>> => {
    const waiting = role === 'authenticated' ? users : others
    if (busy >= rightsAtOnceMax) {
      if (waiting.length >= rightsWaitingMax) return err('Cannot judge rights: too many are asked for')
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else busy++
    try {
      return await work()
    } finally {
      const next = users.shift() ?? others.shift()
      if (next === undefined) busy--
      else next()
    }
  }

  return (caller, topic) => {
    if (caller.role === 'service_role') return Promise.resolve(ok(allRights))
    const key = JSON.stringify([caller.claims, topic])
    const known = asked.get(key)
    if (known !== undefined) return known
    const answer = inTurn(caller.role, () => judge(database, log, caller, topic)).finally(() => asked.delete(key))
    asked.set(key, answer)
    return answer
  }
}

async function judge(
  database: Pick<Database, 'query'>,
  log: (line: string) => void,
  { role, claims }: Caller,
  topic: string,
): Promise<Result<Rights>> {
  try {
    await database.query({
      text: judgement,
      settings: {
        'realtime.topic': topic,
        'request.jwt.claims': JSON.stringify(claims),
        'request.jwt.claim.sub': claims.sub ?? '',
        'request.jwt.claim.role': role,
        'telltale.caller': role,
      },
    })
    throw new Error('Cannot judge rights: the statement that judges them did not answer')
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    if (error.code === answerCode) return ok(JSON.parse(error.detail ?? '') as Rights)
    if (/^(?:08|53|57)/.test(error.code)) return err(error.message)
    log(`Cannot judge rights on a realtime channel: ${error.message} (${error.code})`)
    return ok(none)
  }
}
