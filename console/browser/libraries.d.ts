// What the console uses of its vendored libraries, for the type check alone.
export function h(type: any, props?: any, ...children: any[]): any
export function render(node: any, root: Element): void
export const Fragment: any
export function createContext<T>(value: T): any
export class Component<P = any, S = any> {
  props: P
  state: S
  setState(change: any): void
  forceUpdate(): void
}

export function useState<T>(initial: T | (() => T)): [T, (next: T | ((before: T) => T)) => void]
export function useEffect(fn: () => void | (() => void), deps?: any[]): void
export function useLayoutEffect(fn: () => void | (() => void), deps?: any[]): void
export function useMemo<T>(fn: () => T, deps: any[]): T
export function useCallback<T extends Function>(fn: T, deps: any[]): T
export function useRef<T>(initial: T): { current: T }
export function useContext<T>(context: any): T
export function useId(): string

export interface Signal<T> {
  value: T
  peek(): T
  subscribe(fn: (value: T) => void): () => void
}
export interface ReadonlySignal<T> {
  readonly value: T
  peek(): T
}
export function signal<T>(value: T): Signal<T>
export function computed<T>(fn: () => T): ReadonlySignal<T>
export function effect(fn: () => void | (() => void)): () => void
export function batch<T>(fn: () => T): T
export function untracked<T>(fn: () => T): T
export function useSignal<T>(value: T): Signal<T>
export function useComputed<T>(fn: () => T): ReadonlySignal<T>
