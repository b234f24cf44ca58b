/** Domain words that arrive as codes: evidence names, categories, alarm kinds, units. Unknown ones are shown as sent. */
import type { Lang } from '../api/types'

type Pair = readonly [vi: string, en: string]

const TERMS: Record<string, Pair> = {
  speed_kmh: ['Tốc độ', 'Speed'],
  occupancy: ['Độ chiếm dụng', 'Occupancy'],
  volume_veh: ['Lưu lượng', 'Volume'],
  confidence: ['Độ tin cậy', 'Confidence'],
  count: ['Số lần', 'Count'],
  people: ['Số người', 'People'],
  vehicles: ['Số xe', 'Vehicles'],
  stopped_vehicles: ['Xe dừng', 'Stopped vehicles'],
  duration_s: ['Thời gian', 'Duration'],
  silence_s: ['Im lặng', 'Silence'],
  persists: ['Chưa hết', 'Not over'],
  returned: ['Xảy ra lại', 'Came back'],
  absence_s: ['Im lặng', 'Silence'],
  silence: ['Im lặng', 'Silence'],
  active: ['Đang diễn ra', 'Active'],
  kind: ['Loại', 'Kind'],
  online: ['Trực tuyến', 'Online'],
  category: ['Lĩnh vực', 'Category'],
  reports: ['Phản ánh', 'Reports'],
  for: ['Kéo dài', 'Lasting'],
  for_s: ['Kéo dài', 'Lasting'],
  traffic: ['Giao thông', 'Traffic'],
  security: ['An ninh trật tự', 'Public security'],
  fire: ['Phòng cháy chữa cháy', 'Fire'],
  flood: ['Ngập nước', 'Flood'],
  environment: ['Môi trường', 'Environment'],
  infrastructure: ['Hạ tầng', 'Infrastructure'],
  equipment: ['Thiết bị', 'Equipment'],
  device: ['Thiết bị', 'Devices'],
  devices: ['Thiết bị', 'Devices'],
  citizen: ['Phản ánh người dân', 'Citizens'],
  citizens: ['Người dân', 'Citizens'],
  feedback: ['Phản ánh người dân', 'Citizens'],
  order: ['Trật tự đô thị', 'Urban order'],
  wrong_way: ['Đi ngược chiều', 'Wrong way'],
  red_light: ['Vượt đèn đỏ', 'Red light'],
  illegal_stop: ['Dừng đỗ sai', 'Illegal stop'],
  crowd: ['Tụ tập đông', 'Crowd'],
  fall: ['Người ngã', 'Person fallen'],
  fire_smoke: ['Khói, lửa', 'Fire or smoke'],
  intrusion: ['Xâm nhập', 'Intrusion'],
  tamper: ['Che, phá camera', 'Tampering'],
  motion: ['Chuyển động', 'Motion'],
  line_crossing: ['Vượt vạch', 'Line crossing'],
  loitering: ['Lảng vảng', 'Loitering'],
  other: ['Khác', 'Other'],
  'heard again': ['Đã có tín hiệu lại', 'Heard again'],
  'in maintenance': ['Thiết bị đang bảo trì', 'In maintenance'],
  'device disabled': ['Thiết bị đã ngừng dùng', 'Device disabled'],
  'device removed': ['Thiết bị đã gỡ khỏi sổ', 'Device removed'],
  'no longer expected': ['Không còn hẹn gửi', 'No longer expected'],
}

const UNITS: Record<string, Pair> = {
  kmh: ['km/h', 'km/h'],
  'km/h': ['km/h', 'km/h'],
  s: ['giây', 's'],
  min: ['phút', 'min'],
  m: ['m', 'm'],
  veh: ['xe', 'veh'],
  events: ['sự kiện', 'events'],
}

const pick = (pair: Pair, lang: Lang): string => pair[lang === 'vi' ? 0 : 1]

/** Aggregates of a rule's window: `avg(people)`. */
const AGGREGATES: Record<string, Pair> = {
  avg: ['trung bình', 'average'],
  min: ['thấp nhất', 'lowest'],
  max: ['cao nhất', 'highest'],
  sum: ['tổng', 'total'],
}

/** Whether a code has words of ours. */
export const isKnown = (code: string): boolean => Object.hasOwn(TERMS, code)

export function term(code: string, lang: Lang): string {
  const [, aggregate = '', inner] = /^(avg|min|max|sum)\((\w+)\)$/.exec(code) ?? []
  const of = AGGREGATES[aggregate]
  if (inner && of) return `${term(inner, lang)}, ${pick(of, lang)}`
  // A category with parts (`citizen.light`) is called after its whole.
  const known = [code, code.split('.')[0] ?? ''].find((name) => Object.hasOwn(TERMS, name))
  const pair = known === undefined ? undefined : TERMS[known]
  if (pair) return pick(pair, lang)
  const spaced = code.replaceAll('_', ' ')
  return spaced.charAt(0).toUpperCase() + spaced.slice(1)
}

export function unitName(code: string | null | undefined, lang: Lang): string {
  if (!code) return ''
  const pair = Object.hasOwn(UNITS, code) ? UNITS[code] : undefined
  return pair ? pick(pair, lang) : code
}
