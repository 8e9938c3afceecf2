// Preact with hooks, signals and htm's templates, as one import for every page.
import { h, render, Component, Fragment, createContext } from 'preact'
import { useState, useEffect as useLateEffect, useLayoutEffect, useMemo, useRef, useCallback, useContext, useId } from 'preact/hooks'
import { signal, computed, effect, batch, untracked, useSignal, useComputed } from '@preact/signals'
import htm from 'htm'

/** Template tag that makes Preact nodes; a hole holds data, never markup. */
const html = htm.bind(h)

/**
 * Runs fn after the browser has painted, and again when deps change. What fn returns ends
 * it: before the next run, and in the moment in which its component leaves, while its
 * elements still stand in the page and before anything of the next page is made. Preact
 * itself ends it some frames later, when a page that comes back may already have begun, and
 * a list without a page has no place any more: then what was kept is lost, and a timer of
 * the page that was left still runs.
 * @param {() => void | (() => void)} fn
 * @param {any[]} [deps]
 */
function useEffect(fn, deps) {
  const end = useRef(/** @type {void | null | (() => void)} */ (null))
  const stop = () => {
    const last = end.current
    end.current = null
    if (last) untracked(last) // what it reads is nothing that whoever renders now shows
  }
  useLateEffect(() => { end.current = fn(); return stop }, deps)
  useLayoutEffect(() => stop, [])
}

export { html, h, render, Component, Fragment, createContext, useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback, useContext, useId, signal, computed, effect, batch, useSignal, useComputed }
