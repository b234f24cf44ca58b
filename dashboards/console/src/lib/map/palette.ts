/** The map's colours, read from the design tokens, so that both themes have one source. */

const TOKENS = {
  bg: '--map-bg',
  ward: '--map-ward',
  wardLine: '--map-ward-line',
  cityLine: '--map-city-line',
  water: '--map-water',
  waterLine: '--map-water-line',
  road: '--map-road',
  roadMid: '--map-road-mid',
  roadMain: '--map-road-main',
  roadEdge: '--map-road-edge',
  special: '--map-special',
  label: '--map-label',
  labelRoad: '--map-label-road',
  halo: '--map-halo',
  device: '--map-device',
  cluster: '--map-cluster',
  deviceFill: '--map-device-fill',
  select: '--map-select',
  warn: '--warn',
  error: '--error',
  free: '--flow-free',
  slow: '--flow-slow',
  heavy: '--flow-heavy',
  jam: '--flow-jam',
  surface: '--surface',
  critical: '--critical',
  criticalInk: '--critical-ink',
  high: '--high',
  highInk: '--high-ink',
  medium: '--medium',
  mediumInk: '--medium-ink',
  low: '--low',
  lowInk: '--low-ink',
  ink: '--ink',
} as const

export type Palette = Record<keyof typeof TOKENS, string>

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement)
  const entries = Object.entries(TOKENS).map(([name, token]) => [name, style.getPropertyValue(token).trim()])
  return Object.fromEntries(entries) as Palette
}

/** How much larger than usual the page's text is: by the size of the screen or the person's wish. */
export function textScale(): number {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16
}
