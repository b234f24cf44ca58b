/** Texts of saved filters. */
import type { Lang } from '../api/types'
import { LONGEST_NAME, MOST_SAVED, type SaveError } from '../queue/saved'

export interface SavedTexts {
  title: string
  open: string
  name: string
  save: string
  saveTitle: string
  list: string
  apply: (name: string) => string
  rename: (name: string) => string
  remove: (name: string) => string
  keep: string
  cancel: string
  none: string
  where: string
  error: Record<SaveError, string>
}

export const savedTexts: Record<Lang, SavedTexts> = {
  vi: {
    title: 'Bộ lọc đã lưu',
    open: 'Bộ lọc đã lưu',
    name: 'Tên bộ lọc',
    save: 'Lưu bộ lọc này',
    saveTitle: 'Lưu điều kiện lọc đang dùng',
    list: 'Các bộ lọc',
    apply: (name) => `Lọc: ${name}`,
    rename: (name) => `Đổi tên: ${name}`,
    remove: (name) => `Xoá: ${name}`,
    keep: 'Đổi',
    cancel: 'Thôi',
    none: 'Chưa lưu bộ lọc nào. Hãy chọn mức, phường, lĩnh vực hoặc từ cần tìm ở hàng đợi, rồi đặt tên ở trên.',
    where: 'Lưu trong trình duyệt này, riêng cho tài khoản của bạn. Muốn dùng ở máy khác, hãy gửi địa chỉ của trang.',
    error: {
      empty: 'Hãy đặt tên cho bộ lọc.',
      long: `Tên dài nhất ${LONGEST_NAME} ký tự.`,
      taken: 'Đã có bộ lọc mang tên này.',
      full: `Đã đủ ${MOST_SAVED} bộ lọc: hãy xoá bớt một bộ.`,
      unfiltered: 'Hàng đợi đang không lọc gì: hãy chọn điều kiện trước.',
    },
  },
  en: {
    title: 'Saved filters',
    open: 'Saved filters',
    name: 'Name of the filter',
    save: 'Save this filter',
    saveTitle: 'Save the filter in use',
    list: 'The filters',
    apply: (name) => `Filter: ${name}`,
    rename: (name) => `Rename: ${name}`,
    remove: (name) => `Delete: ${name}`,
    keep: 'Rename',
    cancel: 'Cancel',
    none: 'No filter is saved yet. Choose severities, a ward, a category or words at the queue, then give a name above.',
    where: 'Kept in this browser, for your account alone. For another machine, send the address of the page.',
    error: {
      empty: 'Give the filter a name.',
      long: `A name has at most ${LONGEST_NAME} characters.`,
      taken: 'There is a filter of this name.',
      full: `There are ${MOST_SAVED} filters already: delete one first.`,
      unfiltered: 'The queue is not filtered: choose a condition first.',
    },
  },
}
