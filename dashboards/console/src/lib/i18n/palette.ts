/** Texts of the command palette and of a console over two windows. */
import type { Lang } from '../api/types'

type Kind = 'command' | 'page' | 'list' | 'ward' | 'incident' | 'device'

export interface PaletteTexts {
  title: string
  ask: string
  none: string
  kind: Record<Kind, string>
  language: string
  leader: string
  ward: string
  board: string
  devices: string
  allWards: string
  split: string
  merge: string
  blocked: string
}

export type PaletteKind = Kind

export const paletteTexts: Record<Lang, PaletteTexts> = {
  vi: {
    title: 'Tìm và ra lệnh',
    ask: 'Gõ lệnh, sự cố, phường hoặc thiết bị; không cần dấu',
    none: 'Không tìm thấy gì',
    kind: { command: 'Lệnh', page: 'Mở', list: 'Lọc', ward: 'Phường', incident: 'Sự cố', device: 'Thiết bị' },
    language: 'English',
    leader: 'Trang lãnh đạo',
    ward: 'Trang điện thoại của phường',
    board: 'Bảng công khai',
    devices: 'Sức khoẻ thiết bị',
    allWards: 'Bỏ mọi điều kiện lọc',
    split: 'Tách bản đồ sang cửa sổ khác',
    merge: 'Gộp lại một cửa sổ',
    blocked: 'Trình duyệt không cho mở cửa sổ mới. Hãy cho phép cửa sổ bật lên ở trang này rồi thử lại.',
  },
  en: {
    title: 'Find and command',
    ask: 'Type a command, an incident, a ward or a device; no diacritics needed',
    none: 'Nothing found',
    kind: { command: 'Command', page: 'Open', list: 'Filter', ward: 'Ward', incident: 'Incident', device: 'Device' },
    language: 'Tiếng Việt',
    leader: "Leaders' page",
    ward: "The ward's page for phones",
    board: 'Public board',
    devices: 'Health of devices',
    allWards: 'Remove every filter',
    split: 'Move the map to a window of its own',
    merge: 'Back to one window',
    blocked: 'The browser does not open another window. Allow pop-ups of this page and try again.',
  },
}
