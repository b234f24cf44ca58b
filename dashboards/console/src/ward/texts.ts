/** Texts of the ward page, in both languages. */
import type { Lang } from '../lib/api/types'

export interface WardTexts {
  title: string
  sections: { new: string; doing: string; done: string }
  empty: Record<'new' | 'doing' | 'done', string>
  back: string
  navigate: string
  locate: string
  locateAgain: string
  locating: string
  located: string
  locateFailed: string
  away: (distance: string) => string
  map: string
  closeMap: string
  mapOffline: string
  mapFailed: string
  noPlace: string
  offline: string
  remembered: (age: string) => string
  neverLoaded: string
  outbox: (n: number) => string
  outboxTitle: string
  waiting: string
  conflict: string
  conflictSaw: string
  conflictNow: string
  refused: string
  again: string
  sendAgain: string
  drop: string
  full: string
  broken: string
  nothing: string
  pending: string
  draft: string
  menu: string
  note: string
  notes: Record<string, string>
  photo: string
  photoNone: string
  photoBad: string
  removePhoto: string
  send: string
  cancel: string
  needsNote: string
  needsWard: string
  toWard: string
  steps: string
  required: string
  openSteps: (n: number) => string
  stepDone: string
  logoutUnsent: (n: number) => string
  stay: string
  logout: string
  sending: string
}

export const TEXTS: Record<Lang, WardTexts> = {
  vi: {
    title: 'Việc của phường',
    sections: { new: 'Mới', doing: 'Đang làm', done: 'Xong hôm nay' },
    empty: { new: 'Không có việc mới', doing: 'Chưa nhận việc nào', done: 'Hôm nay chưa xong việc nào' },
    back: 'Danh sách',
    navigate: 'Chỉ đường',
    locate: 'Cách chỗ tôi bao xa',
    locateAgain: 'Lấy lại vị trí của tôi',
    locating: 'Đang tìm vị trí…',
    located: 'Vị trí chỉ ở trong máy này: không lưu, không gửi đi.',
    locateFailed: 'Không lấy được vị trí. Hãy cho phép trang này dùng vị trí trong cài đặt của máy.',
    away: (distance) => `Cách ${distance}`,
    map: 'Xem bản đồ',
    closeMap: 'Đóng bản đồ',
    mapOffline: 'Bản đồ chưa tải được. Hãy mở lại khi có mạng.',
    mapFailed: 'Không vẽ được bản đồ trên máy này.',
    noPlace: 'Không rõ vị trí',
    offline: 'Không có mạng. Việc anh chị làm được giữ trong máy và tự gửi khi có mạng lại.',
    remembered: (age) => `Danh sách của ${age} trước`,
    neverLoaded: 'Máy này chưa tải danh sách lần nào. Hãy mở trang khi có mạng.',
    outbox: (n) => `${n} việc chờ gửi`,
    outboxTitle: 'Chờ gửi',
    waiting: 'Chờ gửi',
    conflict: 'Người khác đã xử lý trong lúc chờ',
    conflictSaw: 'Khi anh chị làm',
    conflictNow: 'Bây giờ',
    refused: 'Không nhận',
    again: 'Vẫn làm',
    sendAgain: 'Gửi lại',
    drop: 'Bỏ',
    full: 'Hộp chờ gửi đã đầy. Hãy gửi hoặc bỏ bớt rồi làm tiếp.',
    broken: 'Máy không lưu được việc này. Hãy giải phóng bộ nhớ rồi làm lại.',
    nothing: 'Mọi việc đã gửi xong',
    pending: 'chờ gửi',
    draft: 'bản nháp',
    menu: 'Tuỳ chọn',
    note: 'Ghi chú',
    notes: { resolve: 'Đã làm gì, kết quả ra sao', comment: 'Ghi chú', reroute: 'Vì sao chuyển', decline: 'Vì sao không nhận' },
    photo: 'Chụp ảnh',
    photoNone: 'Chưa có ảnh',
    photoBad: 'Không đọc được ảnh này',
    removePhoto: 'Bỏ ảnh',
    send: 'Gửi',
    cancel: 'Để sau',
    needsNote: 'Hãy viết ghi chú',
    needsWard: 'Hãy chọn phường',
    toWard: 'Chuyển tới phường',
    steps: 'Quy trình',
    required: 'bắt buộc',
    openSteps: (n) => `Còn ${n} bước bắt buộc chưa làm`,
    stepDone: 'Xong',
    logoutUnsent: (n) => `Còn ${n} việc chưa gửi. Đăng xuất sẽ xoá hẳn, kể cả bản nháp.`,
    stay: 'Ở lại',
    logout: 'Đăng xuất và xoá',
    sending: 'Đang gửi…',
  },
  en: {
    title: "The ward's work",
    sections: { new: 'New', doing: 'In hand', done: 'Done today' },
    empty: { new: 'Nothing new', doing: 'Nothing taken on yet', done: 'Nothing finished today' },
    back: 'List',
    navigate: 'Directions',
    locate: 'How far from me',
    locateAgain: 'Take my place again',
    locating: 'Looking for your place…',
    located: 'Your place stays on this page: it is not stored and not sent.',
    locateFailed: 'Your place cannot be read. Allow this page to use it in the settings of your phone.',
    away: (distance) => `${distance} away`,
    map: 'Show the map',
    closeMap: 'Close the map',
    mapOffline: 'The map could not be loaded. Open it again with a network.',
    mapFailed: 'The map cannot be drawn on this phone.',
    noPlace: 'Place unknown',
    offline: 'No network. What you do is kept on this phone and sent by itself when it is back.',
    remembered: (age) => `The list of ${age} ago`,
    neverLoaded: 'This phone has never loaded the list. Open the page once with a network.',
    outbox: (n) => `${n} waiting to be sent`,
    outboxTitle: 'Waiting to be sent',
    waiting: 'Waits',
    conflict: 'Somebody else acted meanwhile',
    conflictSaw: 'When you acted',
    conflictNow: 'Now',
    refused: 'Refused',
    again: 'Do it all the same',
    sendAgain: 'Send again',
    drop: 'Drop',
    full: 'No more fits on this phone. Send or drop something first.',
    broken: 'This phone could not keep it. Free some storage, then do it again.',
    nothing: 'Everything has been sent',
    pending: 'waits',
    draft: 'draft',
    menu: 'Options',
    note: 'Note',
    notes: { resolve: 'What was done, with what result', comment: 'Note', reroute: 'Why it goes there', decline: 'Why not yours' },
    photo: 'Take a photo',
    photoNone: 'No photo yet',
    photoBad: 'This picture cannot be read',
    removePhoto: 'Remove the photo',
    send: 'Send',
    cancel: 'Later',
    needsNote: 'Write a note',
    needsWard: 'Choose a ward',
    toWard: 'Hand over to',
    steps: 'Procedure',
    required: 'required',
    openSteps: (n) => `${n} required steps are open`,
    stepDone: 'Done',
    logoutUnsent: (n) => `${n} are not sent yet. Logging out deletes them, drafts too.`,
    stay: 'Stay',
    logout: 'Log out and delete',
    sending: 'Sending…',
  },
}
