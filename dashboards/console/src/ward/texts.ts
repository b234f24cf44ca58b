/** Texts of the ward page, in both languages. */
import type { Lang } from '../lib/api/types'

export interface WardTexts {
  title: string
  sections: { new: string; doing: string; done: string }
  empty: Record<'new' | 'doing' | 'done', string>
  back: string
  navigate: string
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
    sections: { new: 'Mới', doing: 'Đang làm', done: 'Vừa xong' },
    empty: { new: 'Không có việc mới', doing: 'Chưa nhận việc nào', done: 'Chưa xong việc nào trong một giờ qua' },
    back: 'Danh sách',
    navigate: 'Chỉ đường',
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
    note: 'Ghi chú',
    notes: { resolve: 'Đã làm gì, kết quả ra sao', comment: 'Ghi chú', reroute: 'Vì sao chuyển', decline: 'Vì sao không nhận' },
    photo: 'Chụp ảnh',
    photoNone: 'Chưa có ảnh',
    photoBad: 'Không đọc được ảnh này',
    removePhoto: 'Bỏ ảnh',
    send: 'Gửi',
    cancel: 'Thôi',
    needsNote: 'Hãy viết ghi chú',
    needsWard: 'Hãy chọn phường',
    toWard: 'Chuyển tới phường',
    steps: 'Quy trình',
    required: 'bắt buộc',
    openSteps: (n) => `Còn ${n} bước bắt buộc chưa làm`,
    stepDone: 'Xong',
    logoutUnsent: (n) => `Còn ${n} việc chưa gửi. Đăng xuất sẽ xoá hẳn.`,
    stay: 'Ở lại',
    logout: 'Đăng xuất và xoá',
    sending: 'Đang gửi…',
  },
  en: {
    title: "The ward's work",
    sections: { new: 'New', doing: 'In hand', done: 'Just done' },
    empty: { new: 'Nothing new', doing: 'Nothing taken on yet', done: 'Nothing finished within the hour' },
    back: 'List',
    navigate: 'Directions',
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
    note: 'Note',
    notes: { resolve: 'What was done, with what result', comment: 'Note', reroute: 'Why it goes there', decline: 'Why not yours' },
    photo: 'Take a photo',
    photoNone: 'No photo yet',
    photoBad: 'This picture cannot be read',
    removePhoto: 'Remove the photo',
    send: 'Send',
    cancel: 'Cancel',
    needsNote: 'Write a note',
    needsWard: 'Choose a ward',
    toWard: 'Hand over to',
    steps: 'Procedure',
    required: 'required',
    openSteps: (n) => `${n} required steps are open`,
    stepDone: 'Done',
    logoutUnsent: (n) => `${n} are not sent yet. Logging out deletes them.`,
    stay: 'Stay',
    logout: 'Log out and delete',
    sending: 'Sending…',
  },
}
