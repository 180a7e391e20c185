import type { Page } from 'playwright-core'

type TextWatch = {
  /** From now on it is noted when this text comes. */
  expect(text: string): void
  /** ms since the epoch at which it stood in the page. */
  seenAt(text: string): Promise<number>
}

declare global {
  interface Window {
    textWatch: TextWatch
  }
}

/**
 * Lets documents that the page opens from now on note, by MutationObservers in every shadow root, at what moment a text
 * came to stand in them. A document that is left takes its notes with it: what is noted came without a reload.
 */
export async function watchTexts(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const seen = new Map<string, number>()
    const waiting = new Map<string, ((at: number) => void)[]>()
    const observer = new MutationObserver((records) => {
      const at = Date.now()
      for (const [text, wakes] of waiting) {
        if (!records.some(({ target }) => target.textContent?.includes(text))) continue
        waiting.delete(text)
        seen.set(text, at)
        for (const wake of wakes) wake(at)
      }
    })
    const observe = (root: Node) => observer.observe(root, { childList: true, characterData: true, subtree: true })
    const attach = Element.prototype.attachShadow
    Element.prototype.attachShadow = function (init) {
      const root = attach.call(this, init)
      observe(root)
      return root
    }
    observe(document)
    window.textWatch = {
      expect(text) {
        seen.delete(text)
        waiting.set(text, [])
      },
      seenAt(text) {
        const at = seen.get(text)
        if (at !== undefined) return Promise.resolve(at)
        return new Promise((resolve, reject) => {
          const wakes = waiting.get(text)
          if (wakes === undefined) reject(new Error(`Cannot tell when ${text} came: nobody asked before`))
          else wakes.push(resolve)
        })
      },
    }
  })
}

export async function expectText(page: Page, text: string): Promise<void> {
  await page.evaluate((wanted) => window.textWatch.expect(wanted), text)
}

/** ms since the epoch. @throws when nobody expected it in this document, or when it does not come within 20 s */
export async function textSeenAt(page: Page, text: string): Promise<number> {
  const seen = page.evaluate((wanted) => window.textWatch.seenAt(wanted), text)
  seen.catch(() => undefined)
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Cannot see ${text}: it is not there after 20 s`)), 20_000)
  })
  return Promise.race([seen, late]).finally(() => clearTimeout(timer))
}
