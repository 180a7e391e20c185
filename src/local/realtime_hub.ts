import { type Broadcast, broadcastFrame, type Frame, type Version } from './realtime_serializer.ts'

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
  join(name: ChannelName, member: Member): void
  leave(name: ChannelName, member: Member): void
  /** Sends to every member but `except`. Encoded once for each version, however many they are. */
  broadcast(name: ChannelName, broadcast: Broadcast, except?: Member): void
}

export function createHub(): Hub {
  const channels = new Map<string, Set<Member>>()
  return {
    join(name, member) {
      const key = keyOf(name)
      const members = channels.get(key)
      if (members === undefined) channels.set(key, new Set([member]))
      else members.add(member)
    },
    leave(name, member) {
      const key = keyOf(name)
      const members = channels.get(key)
      members?.delete(member)
      if (members?.size === 0) channels.delete(key)
    },
    broadcast(name, broadcast, except) {
      const frames = new Map<Version, Frame | null>()
      // A copy: a member that is too slow leaves while it is sent to.
      for (const member of [...(channels.get(keyOf(name)) ?? [])]) {
        if (member === except) continue
        let frame = frames.get(member.version)
        if (frame === undefined) {
          frame = broadcastFrame(member.version, `realtime:${name.topic}`, broadcast)
          frames.set(member.version, frame)
        }
        if (frame !== null) member.send(frame)
      }
    },
  }
}

function keyOf(name: ChannelName): string {
  return `${name.private ? 'private' : 'public'}:${name.topic}`
}
