/** Photos are made smaller before they travel: a phone's 8 MB become some 400 kB, and the place inside is left behind. */

const SIDE_PX = 2048
const QUALITY = 0.85
export const MAX_BYTES = 10 * 1024 * 1024
const SENDABLE = ['image/jpeg', 'image/png', 'image/webp']

/** Null: the browser cannot read it and the service would not either. */
export async function shrink(file: Blob): Promise<Blob | null> {
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' })
  } catch {
    return SENDABLE.includes(file.type) && file.size <= MAX_BYTES ? file : null
  }
  try {
    const scale = Math.min(1, SIDE_PX / Math.max(bitmap.width, bitmap.height))
    const canvas = document.createElement('canvas')
    canvas.width = Math.max(1, Math.round(bitmap.width * scale))
    canvas.height = Math.max(1, Math.round(bitmap.height * scale))
    const context = canvas.getContext('2d')
    if (!context) return null
    context.fillStyle = '#ffffff'
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
    return await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/jpeg', QUALITY))
  } finally {
    bitmap.close()
  }
}
