/** Texts of the page of rules, in both languages. */
import type { Lang, ShadowChange } from '../api/types'

export type LeftOut = 'late' | 'amended' | 'cooled' | 'unkeyed' | 'overflowed' | 'evicted' | 'unwatched'
export type RuleState = 'on' | 'off' | 'failed' | 'waiting'

export interface RuleTexts {
  title: string
  bench: string
  failed: string
  loading: string
  none: string
  rule: string
  state: string
  states: Record<RuleState, string>
  wide: string
  wideHint: string
  matched: string
  raised: string
  leftOut: string
  leftOutOf: Record<LeftOut, string>
  failures: string
  key: string
  keys: string
  cost: string
  version: (version: number, author: string) => string
  shadow: string
  compare: string
  back: string
  since: string
  active: string
  wouldHave: string
  notRaised: string
  change: Record<ShadowChange, string>
  seconds: (s: string) => string
  alike: string
  noShadow: string
  counted: string
}

export const ruleTexts: Record<Lang, RuleTexts> = {
  vi: {
    title: 'Luật phát hiện sự cố',
    bench: 'Bàn soạn luật',
    failed: 'Không đọc được danh sách luật; sẽ thử lại.',
    loading: 'Đang đọc…',
    none: 'Chưa có luật nào.',
    rule: 'Luật',
    state: 'Trạng thái',
    states: { on: 'Đang chạy', off: 'Đã tắt', failed: 'Hỏng, đã tắt', waiting: 'Chờ chuyển bản' },
    wide: 'Liên phường',
    wideHint: 'Khoá không gắn với một phường: luật xét sự kiện của mọi phường, báo muộn hơn tối đa một giây.',
    matched: 'Khớp',
    raised: 'Đã báo',
    leftOut: 'Không tính',
    leftOutOf: {
      late: 'đến muộn',
      amended: 'muộn, bổ sung',
      cooled: 'trong lúc nghỉ',
      unkeyed: 'thiếu khoá',
      overflowed: 'quá tải',
      evicted: 'khoá bị loại',
      unwatched: 'thiết bị chưa theo dõi',
    },
    failures: 'Lỗi',
    key: 'Khoá',
    keys: 'Khoá',
    cost: 'Thời gian',
    version: (version, author) => `bản ${version} · ${author}`,
    shadow: 'Chạy thử',
    compare: 'So sánh',
    back: 'Về danh sách',
    since: 'Từ khi bắt đầu chạy thử, mới nhất trước',
    active: 'Luật đang chạy',
    wouldHave: 'Bản chạy thử',
    notRaised: 'không báo',
    change: { gained: 'Thêm', lost: 'Mất', earlier: 'Sớm hơn', later: 'Muộn hơn', same: 'Như nhau' },
    seconds: (s) => `${s} giây`,
    alike: 'Chưa có sự cố nào ở cả hai bản.',
    noShadow: 'Đợt chạy thử đã kết thúc.',
    counted: 'Số đếm tính từ khi các tiến trình xử lý luật khởi động.',
  },
  en: {
    title: 'Detection rules',
    bench: 'Rules workbench',
    failed: 'The rules cannot be read; it will be tried again.',
    loading: 'Reading…',
    none: 'There are no rules.',
    rule: 'Rule',
    state: 'State',
    states: { on: 'Running', off: 'Switched off', failed: 'Failed, switched off', waiting: 'Waiting to switch' },
    wide: 'Across wards',
    wideHint: 'Keyed beyond a ward: the rule sees the events of all wards and speaks up to a second later.',
    matched: 'Matched',
    raised: 'Raised',
    leftOut: 'Left out',
    leftOutOf: {
      late: 'late',
      amended: 'late, added',
      cooled: 'in cooldown',
      unkeyed: 'without key',
      overflowed: 'overflowed',
      evicted: 'keys evicted',
      unwatched: 'devices unwatched',
    },
    failures: 'Failures',
    key: 'Key',
    keys: 'Keys',
    cost: 'Time taken',
    version: (version, author) => `version ${version} · ${author}`,
    shadow: 'Shadow',
    compare: 'Compare',
    back: 'Back to the list',
    since: 'Since the shadow began, newest first',
    active: 'Active rule',
    wouldHave: 'Shadow',
    notRaised: 'not raised',
    change: { gained: 'Gained', lost: 'Lost', earlier: 'Earlier', later: 'Later', same: 'Same' },
    seconds: (s) => `${s} s`,
    alike: 'Neither has raised an incident yet.',
    noShadow: 'The trial has ended.',
    counted: 'Counts are since the rule workers started.',
  },
}
