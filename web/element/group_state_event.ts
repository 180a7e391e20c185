import type { GroupStateRequest } from '../view/group_state_view.ts'

/** Somebody says that an error group is open, resolved or ignored. */
export class GroupStateEvent extends Event {
  static readonly type = 'tt-group-state'
  readonly fingerprint: string
  readonly request: GroupStateRequest

  constructor(fingerprint: string, request: GroupStateRequest) {
    super(GroupStateEvent.type, { bubbles: true, composed: true })
    this.fingerprint = fingerprint
    this.request = request
  }
}

declare global {
  interface HTMLElementEventMap {
    'tt-group-state': GroupStateEvent
  }
}
