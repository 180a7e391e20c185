/** A function of the host's, whose arguments are passed on unseen. */
export type AnyFunction = (this: unknown, ...args: unknown[]) => unknown

/** A method of somebody else's object that is ours for a while. */
export type Shadow = { readonly lift: () => void }

/**
 * Puts a method of our own in front of an object's, on this object alone; `lift` takes it away again, where nobody has
 * put another in front since.
 * @throws TypeError where the object takes no properties, or has no such method
 */
export function shadowed(target: object, key: PropertyKey, wrapping: (original: AnyFunction) => AnyFunction): Shadow {
  const own = Object.getOwnPropertyDescriptor(target, key)
  const original = Reflect.get(target, key) as unknown
  if (typeof original !== 'function') throw new TypeError(`Cannot watch ${String(key)}: it is ${typeof original}`)
  const value = wrapping(original as AnyFunction)
  Object.defineProperty(target, key, {
    value,
    configurable: true,
    writable: true,
    enumerable: own?.enumerable ?? false,
  })
  return {
    lift() {
      if (Object.getOwnPropertyDescriptor(target, key)?.value !== value) return
      if (own) Object.defineProperty(target, key, own)
      else Reflect.deleteProperty(target, key)
    },
  }
}
