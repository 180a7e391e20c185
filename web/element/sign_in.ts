import { css, html, LitElement, nothing } from 'lit'
import type { Api } from '../api.ts'
import { refusalText, type SignInRefusal } from '../view/sign_in_text.ts'
import { sharedStyle } from './shared_style.ts'

/** Somebody signed in. */
export class SignedInEvent extends Event {
  static readonly type = 'tt-signed-in'
  constructor() {
    super(SignedInEvent.type, { bubbles: true, composed: true })
  }
}

/** Where a page without a session asks for one: by the printed address, or by email and password. */
export class SignIn extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      .card {
        display: grid;
        gap: 14px;
        width: min(400px, 100% - 32px);
        margin: 12vh auto 32px;
        padding: 24px;
      }
      form {
        display: grid;
        gap: 10px;
      }
      label {
        display: grid;
        gap: 4px;
      }
      .problem {
        padding: 8px 10px;
        border: 1px solid var(--tt-error);
        border-radius: var(--tt-radius);
      }
      .code {
        display: grid;
        gap: 6px;
        padding-top: 12px;
        border-top: 1px solid var(--tt-border);
      }
    `,
  ]
  static override properties = {
    api: { attribute: false },
    refusal: { attribute: false },
    busy: { state: true },
  }
  declare api: Api | null
  declare refusal: SignInRefusal | 'ended' | null
  declare busy: boolean

  constructor() {
    super()
    this.api = null
    this.refusal = null
    this.busy = false
  }

  override render() {
    return html`
      <main class="card">
        <h1>Sign in to Telltale</h1>
        ${this.refusal === null ? nothing : html`<p class="problem" role="alert">${refusalText(this.refusal)}</p>`}
        <form @submit=${this.#submit}>
          <label>Email <input name="email" type="email" autocomplete="username" required autofocus></label>
          <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
          <button class="primary" ?disabled=${this.busy}>${this.busy ? 'Signing in…' : 'Sign in'}</button>
        </form>
        <div class="muted code">
          <p>No password at hand? On the machine that runs Telltale, in its directory, this prints an address that signs in:</p>
          <p><code>node bin/telltale.mjs open</code></p>
          <p>Installed: <code>telltale open</code>. Email and password are in <code>local.env</code> in its data directory.</p>
        </div>
      </main>
    `
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    const fields = new FormData(event.target as HTMLFormElement)
    if (this.api === null || this.busy) return
    this.busy = true
    try {
      this.refusal = await this.api.signIn(String(fields.get('email') ?? ''), String(fields.get('password') ?? ''))
      if (this.refusal === null) this.dispatchEvent(new SignedInEvent())
    } catch {
      this.refusal = 'unreachable'
    } finally {
      this.busy = false
    }
  }
}

customElements.define('tt-sign-in', SignIn)

declare global {
  interface HTMLElementTagNameMap {
    'tt-sign-in': SignIn
  }
}
