/** Texts of the hand-over of shifts, in both languages. */
import type { Lang, ShiftItemKind } from '../api/types'

export interface ShiftTexts {
  title: string
  loading: string
  failed: string
  none: string
  begin: string
  lead: string
  since: string
  incoming: string
  nobody: string
  absent: string
  start: string
  startFor: string
  startForHelp: string
  absentReason: string
  waiting: string
  openList: string
  openHelp: string
  yours: string
  decided: (done: number, all: number) => string
  questionedCount: (n: number) => string
  select: (what: string) => string
  selectAll: string
  what: string
  kind: string
  kinds: Record<ShiftItemKind, string>
  due: string
  overdue: string
  note: string
  verdict: string
  verdicts: Record<'open' | 'accepted' | 'questioned', string>
  gone: string
  fresh: string
  accept: string
  question: string
  acceptSelected: (n: number) => string
  questionSelected: (n: number) => string
  acceptRest: (n: number) => string
  writeNote: string
  questionReason: (n: number) => string
  noteText: (n: number) => string
  empty: string
  leftOut: (n: number) => string
  pass: string
  passHelp: (n: number) => string
  cancel: string
  send: string
  back: string
  missing: string
  keys: string
  passed: string
  conflict: string
  refused: string
  unreachable: string
  reports: string
  report: string
  shift: string
  handedTo: string
  listEmpty: string
}

export const shiftTexts: Record<Lang, ShiftTexts> = {
  vi: {
    title: 'Giao ca',
    loading: 'Đang tải…',
    failed: 'Không tải được ca trực; sẽ thử lại.',
    none: 'Chưa có ca trực nào được ghi nhận.',
    begin: 'Bắt đầu ca đầu tiên',
    lead: 'Trưởng ca',
    since: 'từ',
    incoming: 'Nhận ca',
    nobody: 'chưa có ai',
    absent: 'Giao thay vì',
    start: 'Bắt đầu giao ca',
    startFor: 'Nhận ca khi trưởng ca vắng',
    startForHelp: 'Chỉ dùng khi trưởng ca không có mặt để giao.',
    absentReason: 'Vì sao trưởng ca không giao được (bắt buộc)',
    waiting: 'Đang chờ người nhận ca mở danh sách.',
    openList: 'Mở danh sách, nhận bàn giao',
    openHelp: 'Ai mở danh sách là người nhận ca.',
    yours: 'Bạn đang giao ca: ghi chú cho từng mục nếu cần.',
    decided: (done, all) => `${done}/${all} mục đã xem xét`,
    questionedCount: (n) => `${n} mục có ý kiến`,
    select: (what) => `Chọn ${what}`,
    selectAll: 'Chọn mọi mục chưa xem xét',
    what: 'Nội dung',
    kind: 'Loại',
    kinds: { incident: 'Sự cố', shelved: 'Tạm gác', handed_over: 'Chờ phường, xã nhận', outage: 'Mất tín hiệu', rule: 'Quy tắc đang tắt' },
    due: 'Hạn xử lý',
    overdue: 'quá hạn',
    note: 'Ghi chú ca giao',
    verdict: 'Ý kiến ca nhận',
    verdicts: { open: 'Chưa xem xét', accepted: 'Đã nhận', questioned: 'Có ý kiến' },
    gone: 'Đã kết thúc',
    fresh: 'mới',
    accept: 'Nhận',
    question: 'Ý kiến',
    acceptSelected: (n) => (n ? `Nhận ${n} mục đã chọn` : 'Nhận mục đã chọn'),
    questionSelected: (n) => (n ? `Ý kiến về ${n} mục đã chọn` : 'Ý kiến về mục đã chọn'),
    acceptRest: (n) => `Nhận ${n} mục còn lại`,
    writeNote: 'Ghi chú',
    questionReason: (n) => `Ý kiến về ${n} mục (bắt buộc)`,
    noteText: (n) => `Ghi chú cho ${n} mục (bắt buộc)`,
    empty: 'Không có việc nào đang mở.',
    leftOut: (n) => `${n} mục mức thấp hơn nằm ngoài danh sách.`,
    pass: 'Nhận ca',
    passHelp: (n) => `Còn ${n} mục chưa xem xét.`,
    cancel: 'Huỷ giao ca',
    send: 'Xác nhận',
    back: 'Thôi',
    missing: 'Hãy nhập nội dung.',
    keys: 'j, k: di chuyển · phím cách: chọn · a: nhận · o: nêu ý kiến',
    passed: 'Ca đã được nhận. Biên bản đã lưu.',
    conflict: 'Danh sách vừa thay đổi. Hãy xem lại rồi thao tác.',
    refused: 'Máy chủ từ chối',
    unreachable: 'Chưa gửi được tới máy chủ. Thao tác chưa có hiệu lực.',
    reports: 'Biên bản các ca trước',
    report: 'Biên bản',
    shift: 'Ca',
    handedTo: 'giao cho',
    listEmpty: 'Chưa có biên bản nào.',
  },
  en: {
    title: 'Shift hand-over',
    loading: 'Loading…',
    failed: 'The shift could not be loaded; trying again.',
    none: 'No shift has been recorded yet.',
    begin: 'Begin the first shift',
    lead: 'Lead',
    since: 'since',
    incoming: 'Taking over',
    nobody: 'nobody yet',
    absent: 'In place of the lead because',
    start: 'Start hand-over',
    startFor: 'Take over from an absent lead',
    startForHelp: 'Only where the lead is not there to hand over.',
    absentReason: 'Why the lead cannot hand over (required)',
    waiting: 'Waiting for whoever takes over to open the list.',
    openList: 'Open the list and take over',
    openHelp: 'Whoever opens the list takes the shift over.',
    yours: 'You are handing over: add notes to items where they help.',
    decided: (done, all) => `${done} of ${all} items decided`,
    questionedCount: (n) => `${n} questioned`,
    select: (what) => `Select ${what}`,
    selectAll: 'Select all that are undecided',
    what: 'What',
    kind: 'Kind',
    kinds: { incident: 'Incident', shelved: 'Shelved', handed_over: 'Awaiting a ward', outage: 'Silent equipment', rule: 'Disabled rule' },
    due: 'Due',
    overdue: 'overdue',
    note: "Outgoing lead's note",
    verdict: 'Incoming lead',
    verdicts: { open: 'Undecided', accepted: 'Accepted', questioned: 'Questioned' },
    gone: 'Ended',
    fresh: 'new',
    accept: 'Accept',
    question: 'Question',
    acceptSelected: (n) => (n ? `Accept ${n} selected` : 'Accept selected'),
    questionSelected: (n) => (n ? `Question ${n} selected` : 'Question selected'),
    acceptRest: (n) => `Accept the other ${n}`,
    writeNote: 'Note',
    questionReason: (n) => `What you question about ${n} items (required)`,
    noteText: (n) => `Note on ${n} items (required)`,
    empty: 'Nothing is open.',
    leftOut: (n) => `${n} less severe items are beyond the list.`,
    pass: 'Take over',
    passHelp: (n) => `${n} items are undecided.`,
    cancel: 'Cancel hand-over',
    send: 'Confirm',
    back: 'Cancel',
    missing: 'Enter a text.',
    keys: 'j, k: move · space: select · a: accept · o: question',
    passed: 'The shift has passed. Its report is kept.',
    conflict: 'The list has just changed. Look again, then act.',
    refused: 'The server refused',
    unreachable: 'The server could not be reached. Nothing has changed.',
    reports: 'Reports of earlier shifts',
    report: 'Report',
    shift: 'Shift',
    handedTo: 'to',
    listEmpty: 'There is no report yet.',
  },
}
