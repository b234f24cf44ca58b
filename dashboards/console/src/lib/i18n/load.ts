/** Texts of the alarm load. */
import type { Lang } from '../api/types'
import type { AlarmLoad } from '../queue/load'
import { GOOD_PER_HOUR, MANAGEABLE_PER_HOUR } from '../queue/load'

export interface LoadTexts {
  title: string
  hour: (n: number) => string
  level: Record<AlarmLoad['level'], string>
  budget: string
  sources: string
  chattering: string
  chatterHelp: string
  stale: string
  times: (n: number) => string
  none: string
}

export const loadTexts: Record<Lang, LoadTexts> = {
  vi: {
    title: 'Tải báo động',
    hour: (n) => `${n} sự cố trong một giờ qua`,
    level: { good: 'tốt', manageable: 'còn xử lý được', over: 'quá tải' },
    budget: `Một người trực nên nhận đến ${GOOD_PER_HOUR} báo động mỗi giờ; đến ${MANAGEABLE_PER_HOUR} thì còn xử lý được (ISA-18.2).`,
    sources: 'Nguồn báo nhiều nhất trong một giờ',
    chattering: 'Báo đi báo lại',
    chatterHelp: 'Cùng nguồn, cùng quy tắc, từ ba lần trong một giờ: hãy xem lại thiết bị hoặc quy tắc.',
    stale: 'Kéo dài hơn một ngày',
    times: (n) => `${n} lần`,
    none: 'Không có.',
  },
  en: {
    title: 'Alarm load',
    hour: (n) => `${n} ${n === 1 ? 'incident' : 'incidents'} in the last hour`,
    level: { good: 'good', manageable: 'manageable', over: 'too many' },
    budget: `One operator should get up to ${GOOD_PER_HOUR} alarms an hour; up to ${MANAGEABLE_PER_HOUR} can be managed (ISA-18.2).`,
    sources: 'Busiest sources of the hour',
    chattering: 'Chattering',
    chatterHelp: 'One source and rule, three times an hour or more: look at the device or the rule.',
    stale: 'Going on for more than a day',
    times: (n) => `${n} ×`,
    none: 'None.',
  },
}
