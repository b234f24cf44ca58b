/**
 * Ready the bundled fonts: the map draws each letter once, and would keep a substitute for ever. Without them
 * (the network went away) a map in the substitute is better than none.
 */
export async function loadFonts(): Promise<void> {
  const sample = 'Phường Thủ Dầu Một ăâđêôơư 0123'
  await Promise.allSettled(['400', '500', '600', '700'].map((weight) => document.fonts.load(`${weight} 24px "Be Vietnam Pro"`, sample)))
}
