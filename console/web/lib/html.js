// Preact with hooks, signals and htm's templates, as one import for every page.
import { h, render, Component, Fragment, createContext } from 'preact'
import { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback, useContext, useId } from 'preact/hooks'
import { signal, computed, effect, batch, useSignal, useComputed } from '@preact/signals'
import htm from 'htm'

/** Template tag that makes Preact nodes; a hole holds data, never markup. */
const html = htm.bind(h)

export { html, h, render, Component, Fragment, createContext, useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback, useContext, useId, signal, computed, effect, batch, useSignal, useComputed }
