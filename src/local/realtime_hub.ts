import { Presence, type PresenceDiff } from './realtime_presence.ts'
import { type Broadcast, broadcastFrame, type Frame, pushFrame, type Version } from './realtime_serializer.ts'

/** A public and a private channel of one name are two. */
export type ChannelName = { readonly topic: string; readonly private: boolean }

/** One member of a channel. */
export type Member = {
  readonly version: Version
  /** Never throws and never waits. */
  send(frame: Frame): void
}

/** Who is on which channel, and what reaches them. */
export type Hub = {
  /** With `presence` the member hears who comes and goes. */
  join(name: ChannelName, member: Member, presence: boolean): void
  leave(name: ChannelName, member: Member): void
  /** Sends to every member but `except`. Encoded once for each version, however many they are. */
  broadcast(name: ChannelName, broadcast: Broadcast, except?: Member): void
  /** Tells what a member of the channel says of itself, in place of what it said before. */
  track(name: ChannelName, member: Member, key: string, payload: object): void
  untrack(name: ChannelName, member: Member): void
  /** By key, as `presence_state` has it. */
  presenceState(name: ChannelName): object
}

/** Its members, each with whether it hears of presence. */
type Channel = { readonly members: Map<Member, boolean>; readonly presence: Presence }

export function createHub(): Hub {
  const channels = new Map<string, Channel>()
  const untrack = (name: ChannelName, member: Member): void => {
    const channel = channels.get(keyOf(name))
    const diff = channel?.presence.untrack(member) ?? null
    if (channel !== undefined && diff !== null) tell(channel, name, diff)
  }
  return {
    join(name, member, presence) {
      const key = keyOf(name)
      const channel = channels.get(key) ?? { members: new Map(), presence: new Presence() }
      channel.members.set(member, presence)
      channels.set(key, channel)
    },
    leave(name, member) {
      const key = keyOf(name)
      const channel = channels.get(key)
      channel?.members.delete(member)
      untrack(name, member)
      if (channel?.members.size === 0) channels.delete(key)
    },
    broadcast(name, broadcast, except) {
      const members = [...(channels.get(keyOf(name))?.members.keys() ?? [])].filter((member) => member !== except)
      sendTo(members, (version) => broadcastFrame(version, `realtime:${name.topic}`, broadcast))
    },
    track(name, member, key, payload) {
      const channel = channels.get(keyOf(name))
      if (channel?.members.has(member)) tell(channel, name, channel.presence.track(member, key, payload))
    },
    untrack,
    presenceState: (name) => channels.get(keyOf(name))?.presence.state() ?? {},
  }
}

function tell({ members }: Channel, { topic }: ChannelName, diff: PresenceDiff): void {
  const hearing = [...members].flatMap(([member, presence]) => (presence ? [member] : []))
  const envelope = { joinRef: null, ref: null, topic: `realtime:${topic}` }
  sendTo(hearing, (version) => pushFrame(version, envelope, 'presence_diff', diff))
}

/** `members` is a copy: one that is too slow leaves while it is sent to. */
function sendTo(members: readonly Member[], frameOf: (version: Version) => Frame | null): void {
  const frames = new Map<Version, Frame | null>()
  for (const member of members) {
    let frame = frames.get(member.version)
    if (frame === undefined) {
      frame = frameOf(member.version)
      frames.set(member.version, frame)
    }
    if (frame !== null) member.send(frame)
  }
}

function keyOf(name: ChannelName): string {
  return `${name.private ? 'private' : 'public'}:${name.topic}`
}
