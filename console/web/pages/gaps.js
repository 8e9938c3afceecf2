// Gaps in what a device said, laid between its words. Pure: no page is needed.

/**
 * The words of a device, the newest first, with a row for each gap where it lies.
 * @param {any[]} words as the API lists them, the newest first
 * @param {Array<{journal: string, from: number, to: number, state: string}>} gaps
 * @param {boolean} whole nothing older is left to load
 */
export function withGaps(words, gaps, whole) {
  const rows = words.map(e => ({ ...e, id: `${e.epoch}/${e.journal}/${e.seq}` }))
  for (const gap of [...gaps].sort((a, b) => b.from - a.from)) {
    const row = { ...gap, id: `gap/${gap.journal}/${gap.from}`, gap: true }
    const below = rows.findIndex(r => r.journal === gap.journal && !r.gap && r.seq < gap.from)
    if (below >= 0) rows.splice(below, 0, row)
    else {
      const above = rows.findLastIndex(r => r.journal === gap.journal)
      if (above >= 0 && rows[above].seq === gap.to + 1 || whole) rows.splice(above + 1 || rows.length, 0, row)
    }
  }
  return rows
}
