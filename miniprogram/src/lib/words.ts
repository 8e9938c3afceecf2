// All that riders read, in two languages; wxml holds none of it.

import { en } from './words/en'
import { zh } from './words/zh'

export type Words = typeof en

export const languages: Record<'zh-CN' | 'en', Words> = { 'zh-CN': zh, en }
