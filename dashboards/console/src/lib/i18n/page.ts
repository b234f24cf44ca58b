/** What the heads of the pages beside the console say, in both languages. */
import type { Lang } from '../api/types'

export const pageTexts: Record<Lang, { language: string; light: string; dark: string; logout: string }> = {
  vi: { language: 'English', light: 'Giao diện sáng', dark: 'Giao diện tối', logout: 'Đăng xuất' },
  en: { language: 'Tiếng Việt', light: 'Light theme', dark: 'Dark theme', logout: 'Log out' },
}
