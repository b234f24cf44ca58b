/** The severity shapes, once for the list (SVG) and for the map (canvas): paths in a 24 × 24 box. */
import type { Severity } from '../feed/types'

export const SHAPES: Record<Severity, string> = {
  critical: 'M7.8 1.5h8.4l6.3 6.3v8.4l-6.3 6.3H7.8l-6.3-6.3V7.8z',
  high: 'M12 2 23 21.5H1z',
  medium: 'M3 3h18v18H3z',
  low: 'M12 2a10 10 0 1 1 0 20a10 10 0 1 1 0-20z',
}

/** Baseline of the letter in the 24 × 24 box; a triangle's middle lies lower. */
export const LETTER_Y: Record<Severity, number> = { critical: 16.6, high: 19.2, medium: 16.6, low: 16.6 }
