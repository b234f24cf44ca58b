/** Texts of playback. */
import type { Lang } from '../api/types'

export interface ReplayTexts {
  enter: string
  label: string
  replay: string
  live: string
  back: string
  at: string
  range: string
  minutes: Record<number, string>
  slider: string
  play: string
  pause: string
  speed: string
  stepS: (s: number) => string
  stepM: (m: number) => string
  shortS: string
  shortM: string
  buffering: string
  failed: string
  notKept: (at: string) => string
  noData: string
  absent: string
  coarse: (n: number) => string
  covered: (n: string) => string
  counted: (n: number) => string
  fresh: (n: number) => string
  locked: string
  behind: string
  behindHelp: string
  keys: { enter: string; play: string; seconds: string; minutes: string; speed: string; back: string }
}

export const replayTexts: Record<Lang, ReplayTexts> = {
  vi: {
    enter: 'Xem lại quá khứ',
    label: 'Xem lại',
    replay: 'XEM LẠI',
    live: 'TRỰC TIẾP',
    back: 'Về trực tiếp',
    at: 'Thời điểm',
    range: 'Khoảng',
    minutes: { 15: '15 phút', 30: '30 phút', 60: '1 giờ', 180: '3 giờ', 360: '6 giờ', 720: '12 giờ', 1440: '24 giờ' },
    slider: 'Thời điểm trong khoảng',
    play: 'Phát',
    pause: 'Dừng',
    speed: 'Tốc độ ×',
    stepS: (s) => `${s > 0 ? 'Tới' : 'Lùi'} ${Math.abs(s)} giây`,
    stepM: (m) => `${m > 0 ? 'Tới' : 'Lùi'} ${Math.abs(m)} phút`,
    shortS: 'giây',
    shortM: 'phút',
    buffering: 'Đang tải…',
    failed: 'Không tải được, đang thử lại',
    notKept: (at) => `Thay đổi của sự cố chỉ còn lưu từ ${at}`,
    noData: 'Không có số liệu thiết bị lúc này',
    absent: 'Lúc này chưa có sự cố này, hoặc nó không còn trong danh sách',
    coarse: (n) => `quá nhiều số liệu, bước thô hơn ${n} lần`,
    covered: (n) => `${n} số đo trong 5 phút`,
    counted: (n) => `${n} sự cố trong khoảng`,
    fresh: (n) => `${n} sự cố mới trực tiếp`,
    behind: 'Trực tiếp vẫn chạy phía sau',
    behindHelp: 'Màn hình cho thấy quá khứ. Sự cố mới vẫn tới và vẫn báo âm.',
    locked: 'Đang xem lại quá khứ: không ra lệnh được. Về trực tiếp (Esc) để xử lý.',
    keys: { enter: 'Xem lại quá khứ', play: 'Xem lại: phát, dừng', seconds: 'Xem lại: lùi, tới 10 giây', minutes: 'Xem lại: lùi, tới 1 phút', speed: 'Xem lại: chậm hơn, nhanh hơn', back: 'Xem lại: về trực tiếp' },
  },
  en: {
    enter: 'Play back the past',
    label: 'Replay',
    replay: 'REPLAY',
    live: 'LIVE',
    back: 'Back to live',
    at: 'Moment',
    range: 'Range',
    minutes: { 15: '15 min', 30: '30 min', 60: '1 h', 180: '3 h', 360: '6 h', 720: '12 h', 1440: '24 h' },
    slider: 'Moment within the range',
    play: 'Play',
    pause: 'Pause',
    speed: 'Speed ×',
    stepS: (s) => `${s > 0 ? 'Forward' : 'Back'} ${Math.abs(s)} s`,
    stepM: (m) => `${m > 0 ? 'Forward' : 'Back'} ${Math.abs(m)} min`,
    shortS: 's',
    shortM: 'min',
    buffering: 'Loading…',
    failed: 'Loading failed, trying again',
    notKept: (at) => `Changes of incidents are kept from ${at} only`,
    noData: 'No device data at this moment',
    absent: 'At this moment there is no such incident yet, or it has left the list',
    coarse: (n) => `too much to show each step: ${n} times coarser`,
    covered: (n) => `${n} measurements in 5 min`,
    counted: (n) => `${n} incident${n === 1 ? '' : 's'} in the range`,
    fresh: (n) => `${n} new live incident${n === 1 ? '' : 's'}`,
    behind: 'Live goes on behind it',
    behindHelp: 'The screen shows the past. New incidents still come and still sound.',
    locked: 'This is the past: commands are off. Go back to live (Esc) to act.',
    keys: { enter: 'Play back the past', play: 'Replay: play, pause', seconds: 'Replay: back, forward 10 s', minutes: 'Replay: back, forward 1 min', speed: 'Replay: slower, faster', back: 'Replay: back to live' },
  },
}
