import type { Page } from 'playwright-core'

export type PageProbe = {
  /** What the page's policy refused. */
  readonly violations: string[]
  /** Elements below every shadow root that match. */
  find(selector: string): Element[]
  /** All text, each text node as a line. */
  text(): string
  /** What sticks out to the side; empty while the page itself does not scroll sideways. */
  overflow(): string[]
  /** Words whose first letter stands right of their last, where the text itself does not ask for it. */
  mirrored(): string[]
  /** Pairs of texts that are drawn over each other. */
  overlaps(): string[]
  /** Links, buttons and fields that can be seen but had no focus since the last `rest`. */
  unfocused(): string[]
  /** Links and buttons that there is nothing of to press. */
  unpressable(): string[]
  /** As the page is when it was just opened: at its top, with the focus nowhere. */
  rest(): void
}

declare global {
  interface Window {
    probe: PageProbe
  }
}

/** Gives the documents that the page opens from now on a `window.probe` that sees into every shadow root. */
export async function probePage(page: Page): Promise<void> {
  await page.addInitScript(() => {
    type Box = { readonly left: number; readonly right: number; readonly top: number; readonly bottom: number }
    const violations: string[] = []
    let focused = new WeakSet<EventTarget>()
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sample }) => {
      violations.push(`${violatedDirective} ${blockedURI} ${sample}`)
    })
    // A focus that moves within a shadow root is heard in there alone.
    const hearFocus = (root: Node) => root.addEventListener('focusin', ({ target }) => target && focused.add(target))
    hearFocus(document)
    const attach = Element.prototype.attachShadow
    Element.prototype.attachShadow = function (init) {
      const root = attach.call(this, init)
      hearFocus(root)
      return root
    }

    function* nodesBelow(root: Node): Generator<Node> {
      for (const node of root.childNodes) {
        yield node
        yield* nodesBelow(node)
        if (node instanceof Element && node.shadowRoot !== null) yield* nodesBelow(node.shadowRoot)
      }
    }
    const elements = () => [...nodesBelow(document)].filter((node) => node instanceof Element)
    const parentOf = (element: Element): Element | null =>
      element.parentElement ??
      (element.getRootNode() instanceof ShadowRoot ? (element.getRootNode() as ShadowRoot).host : null)
    const isSeen = (element: Element) =>
      element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !isForEarsAlone(element)
    /** Whether nothing of it is drawn, though it takes part in everything else. */
    const isForEarsAlone = (element: Element): boolean => {
      for (let at: Element | null = element; at !== null; at = parentOf(at)) {
        if (getComputedStyle(at).clipPath === 'inset(50%)') return true
      }
      return false
    }
    const nameOf = (element: Element) => {
      const host = element.getRootNode() instanceof ShadowRoot ? (element.getRootNode() as ShadowRoot).host : null
      const own = `${element.localName}${element.classList.length > 0 ? `.${[...element.classList].join('.')}` : ''}`
      const words = (element.getAttribute('aria-label') ?? element.textContent ?? '').trim().slice(0, 40)
      return `${host === null ? '' : `${host.localName} > `}${own} "${words}"`
    }
    /** What is left of a box when everything that clips around it has done so. */
    const clipped = (box: Box, inside: Element): Box => {
      let left = box
      for (let at: Element | null = inside; at !== null && at !== document.documentElement; at = parentOf(at)) {
        if (getComputedStyle(at).overflow === 'visible') continue
        const edge = at.getBoundingClientRect()
        left = {
          left: Math.max(left.left, edge.left),
          right: Math.min(left.right, edge.right),
          top: Math.max(left.top, edge.top),
          bottom: Math.min(left.bottom, edge.bottom),
        }
      }
      return left
    }
    const texts = () =>
      [...nodesBelow(document.body)].filter(
        (node): node is Text =>
          node instanceof Text && node.data.trim() !== '' && node.parentElement !== null && isSeen(node.parentElement),
      )
    const boxesOf = (text: Text): Box[] => {
      const range = document.createRange()
      range.selectNodeContents(text)
      return [...range.getClientRects()]
        .map((box) => clipped(box, text.parentElement as Element))
        .filter(({ left, right, top, bottom }) => right - left > 1 && bottom - top > 1)
    }
    const boxAt = (text: Text, at: number): DOMRect => {
      const range = document.createRange()
      range.setStart(text, at)
      range.setEnd(text, at + 1)
      return range.getBoundingClientRect()
    }

    window.probe = {
      violations,
      find: (selector) => elements().filter((element) => element.matches(selector)),
      text: () =>
        [...nodesBelow(document.body)]
          .map((node) => (node instanceof Text ? node.data : ''))
          .filter(Boolean)
          .join('\n'),
      overflow() {
        const width = document.documentElement.clientWidth
        if (document.documentElement.scrollWidth <= width) return []
        const out = elements().filter((element) => {
          const edge = clipped(element.getBoundingClientRect(), element)
          return edge.right > width + 1 && edge.right > edge.left && isSeen(element)
        })
        return [`${document.documentElement.scrollWidth} px of ${width}`, ...out.slice(0, 8).map(nameOf)]
      },
      mirrored() {
        const asks = /[^\u0020-\u007e\u00a0-\u024f\u2010-\u2027\u2030-\u2060\u2190-\u22ff\n\t]/
        return texts().flatMap((text) =>
          asks.test(text.data)
            ? []
            : [...text.data.matchAll(/[A-Za-z]{2,}/g)].slice(0, 20).flatMap((word) => {
                const [first, last] = [boxAt(text, word.index), boxAt(text, word.index + word[0].length - 1)]
                const isOneLine = Math.abs(first.top - last.top) < 2 && first.width > 0 && last.width > 0
                return isOneLine && first.left >= last.left ? [word[0]] : []
              }),
        )
      },
      overlaps() {
        const shown = texts().flatMap((text) => boxesOf(text).map((box) => ({ text, box })))
        shown.sort((a, b) => a.box.top - b.box.top)
        const found: string[] = []
        shown.forEach((a, at) => {
          for (let next = at + 1; next < shown.length; next += 1) {
            const b = shown[next]
            if (b === undefined || b.box.top > a.box.bottom - 3) break
            const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left)
            const down = Math.min(a.box.bottom, b.box.bottom) - b.box.top
            if (a.text !== b.text && across > 3 && down > 5)
              found.push(`${nameOf(a.text.parentElement as Element)} over ${nameOf(b.text.parentElement as Element)}`)
          }
        })
        return found
      },
      unfocused: () =>
        elements()
          .filter((element) =>
            element.matches('a[href], button:not(:disabled), summary, input, select, [tabindex="0"]'),
          )
          .filter((element) => element.getAttribute('tabindex') !== '-1' && isSeen(element) && !focused.has(element))
          .map(nameOf),
      unpressable: () =>
        elements()
          .filter((element) => element.matches('a[href], button, summary') && isSeen(element))
          .filter((element) => {
            const { width, height } = element.getBoundingClientRect()
            return width < 5 || height < 5
          })
          .map((element) => `${nameOf(element)} ${element.getAttribute('href') ?? ''}`),
      rest() {
        let active = document.activeElement
        while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement
        if (active instanceof HTMLElement) active.blur()
        focused = new WeakSet()
        scrollTo(0, 0)
      },
    }
  })
}
