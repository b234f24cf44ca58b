/** Texts about what citizens told, and about the pictures that staff send, in both languages. */
import type { Lang } from '../api/types'

/** Why a request about a report came to nothing. */
export type ReportTrouble = 'offline' | 'denied' | 'gone' | 'many' | 'failed'
/** Why a picture was not taken. */
export type PhotoTrouble = 'unreadable' | 'large' | 'animated' | 'mixed' | 'broken' | 'busy' | 'full' | 'offline' | 'failed'

export interface ReportTexts {
  title: string
  failed: string
  retry: string
  all: (n: number) => string
  first: (n: number) => string
  number: string
  joined: string
  channels: Record<string, string>
  place: string
  locate: string
  noPlace: string
  placedBy: Record<'code' | 'address' | 'fuzzy' | 'ward', string>
  sure: (percent: number) => string
  contact: string
  noContact: string
  contactGone: string
  hide: string
  photo: (n: number) => string
  elsewhere: string
  vote: string
  votes: { yes: string; no: string; none: string }
  answers: string
  noAnswers: string
  answer: string
  answerAll: string
  answerLabel: string
  answerAllLabel: string
  answerHint: string
  answerShort: string
  send: string
  answered: (n: number) => string
  unmask: string
  separate: string
  separateHint: string
  separated: string
  trouble: Record<ReportTrouble, string>
  /** It may have arrived all the same. */
  unsure: string
}

export interface PhotoTexts {
  optional: string
  required: string
  choose: string
  change: string
  remove: string
  shown: string
  sending: string
  ready: string
  again: string
  see: string
  missing: string
  trouble: Record<PhotoTrouble, string>
  /** By the rule of a refused command. */
  refused: Record<string, string>
}

export const reportTexts: Record<Lang, ReportTexts> = {
  vi: {
    title: 'Phản ánh của người dân',
    failed: 'Không tải được phản ánh.',
    retry: 'Thử lại',
    all: (n) => `Xem cả ${n} phản ánh`,
    first: (n) => `Chỉ hiện ${n} phản ánh đầu tiên.`,
    number: 'Số',
    joined: 'báo cùng việc',
    channels: { web: 'trang phản ánh', open311: 'ứng dụng đối tác' },
    place: 'Nơi',
    locate: 'Tới vị trí',
    noPlace: 'không ghi địa chỉ',
    placedBy: { code: 'vị trí theo mã địa chỉ', address: 'vị trí theo địa chỉ', fuzzy: 'vị trí theo địa chỉ gần giống', ward: 'chỉ biết phường, xã' },
    sure: (percent) => `tin cậy ${percent} %`,
    contact: 'Liên hệ',
    noContact: 'không để lại',
    contactGone: 'không còn lưu',
    hide: 'Che lại',
    photo: (n) => `Ảnh ${n} của phản ánh, mở đầy đủ`,
    elsewhere: 'Ảnh trên máy chủ của đối tác',
    vote: 'Đánh giá',
    votes: { yes: 'Hài lòng', no: 'Chưa hài lòng', none: 'chưa đánh giá' },
    answers: 'Đã trả lời',
    noAnswers: 'chưa trả lời',
    answer: 'Trả lời',
    answerAll: 'Trả lời tất cả',
    answerLabel: 'Trả lời người này',
    answerAllLabel: 'Trả lời mọi người đã báo cùng việc này',
    answerHint: 'Người dân đọc nguyên văn khi tra mã. Đừng ghi tên, số điện thoại của ai.',
    answerShort: 'Hãy viết câu trả lời, ít nhất 5 ký tự.',
    send: 'Gửi trả lời',
    answered: (n) => `Đã trả lời ${n} người.`,
    unmask: 'Xem liên hệ',
    separate: 'Tách thành vụ việc riêng',
    separateHint: 'Phản ánh này không cùng việc: nó thành một sự cố mới, có hạn xử lý riêng. Người dân giữ nguyên mã.',
    separated: 'Đã tách. Sau vài giây có sự cố mới trong hàng đợi; nếu ở cùng nơi, nó được gộp lại như một cảnh báo.',
    trouble: {
      offline: 'Chưa tới được máy chủ. Hãy kiểm tra mạng rồi thử lại.',
      denied: 'Tài khoản của bạn không có quyền này. Hãy nhờ trưởng ca.',
      gone: 'Phản ánh này không còn ở đây hoặc đã chuyển phường, xã khác. Hãy mở lại sự cố.',
      many: 'Đã xem quá nhiều trong một giờ. Hãy đợi rồi thử lại.',
      failed: 'Máy chủ chưa nhận. Hãy thử lại; nếu vẫn vậy, báo kỹ thuật.',
    },
    unsure: 'Không rõ đã gửi được chưa. Hãy xem phần “Đã trả lời” trước khi gửi lại.',
  },
  en: {
    title: 'Reports by citizens',
    failed: 'The reports could not be loaded.',
    retry: 'Try again',
    all: (n) => `Show all ${n} reports`,
    first: (n) => `Only the first ${n} reports are shown.`,
    number: 'No.',
    joined: 'told the same',
    channels: { web: 'report page', open311: "partner's app" },
    place: 'Place',
    locate: 'Go to place',
    noPlace: 'no address given',
    placedBy: { code: 'placed by address code', address: 'placed by its address', fuzzy: 'placed by a similar address', ward: 'only the ward is known' },
    sure: (percent) => `${percent} % sure`,
    contact: 'Contact',
    noContact: 'left none',
    contactGone: 'no longer kept',
    hide: 'Mask again',
    photo: (n) => `Picture ${n} of the report, open in full`,
    elsewhere: "Picture on the partner's server",
    vote: 'Vote',
    votes: { yes: 'Satisfied', no: 'Not satisfied', none: 'no vote yet' },
    answers: 'Answered',
    noAnswers: 'not yet',
    answer: 'Answer',
    answerAll: 'Answer all',
    answerLabel: 'Answer to this person',
    answerAllLabel: 'Answer to everybody who told the same',
    answerHint: "Citizens read it word for word by their code. Leave out anybody's name and phone number.",
    answerShort: 'Write an answer of at least 5 characters.',
    send: 'Send answer',
    answered: (n) => (n === 1 ? '1 person has been answered.' : `${n} people have been answered.`),
    unmask: 'Show contact',
    separate: 'Make it an incident of its own',
    separateHint: 'This report is about something else: it becomes a new incident with its own time limit. The citizen keeps the code.',
    separated: 'Taken out. Within seconds there is a new incident in the queue; at the same place it is grouped again as an alarm.',
    trouble: {
      offline: 'The server was not reached. Check the network and try again.',
      denied: 'Your account has no right to this. Ask a supervisor.',
      gone: 'This report is no longer here, or went to another ward. Open the incident again.',
      many: 'You have looked at too much within an hour. Wait, then try again.',
      failed: 'The server did not take it. Try again; if it stays so, tell the engineers.',
    },
    unsure: 'It is not certain that it was sent. Look under "Answered" before you send it again.',
  },
}

export const photoTexts: Record<Lang, PhotoTexts> = {
  vi: {
    optional: 'Ảnh kết quả (không bắt buộc)',
    required: 'Ảnh (bắt buộc)',
    choose: 'Chọn ảnh',
    change: 'Chọn ảnh khác',
    remove: 'Bỏ ảnh',
    shown: 'Ảnh đã chọn',
    sending: 'Đang gửi ảnh…',
    ready: 'Ảnh đã gửi; bấm xác nhận để gắn vào sự cố.',
    again: 'Gửi lại ảnh',
    see: 'Xem ảnh',
    missing: 'Hãy chọn ảnh.',
    trouble: {
      unreadable: 'Tệp này không phải ảnh JPEG, PNG hoặc WebP. Hãy chọn tệp khác.',
      large: 'Ảnh quá lớn: tối đa 10 MB, 25 triệu điểm ảnh. Hãy chọn ảnh nhỏ hơn.',
      animated: 'Đây là ảnh động. Hãy chọn ảnh tĩnh.',
      mixed: 'Tệp ảnh này có lẫn nội dung khác. Hãy chụp lại hoặc chọn ảnh khác.',
      broken: 'Ảnh bị hỏng, không đọc được. Hãy chọn ảnh khác.',
      busy: 'Máy chủ đang bận nhận ảnh. Hãy gửi lại sau ít giây.',
      full: 'Máy chủ hết chỗ chứa ảnh. Hãy báo kỹ thuật; vẫn xác nhận được khi ảnh không bắt buộc.',
      offline: 'Chưa gửi được ảnh tới máy chủ. Hãy kiểm tra mạng rồi gửi lại.',
      failed: 'Máy chủ không nhận ảnh này. Hãy thử lại hoặc chọn ảnh khác.',
    },
    refused: { photo_unknown: 'ảnh gửi đã lâu nên không còn, hoặc thuộc sự cố khác. Hãy chọn lại ảnh.' },
  },
  en: {
    optional: 'Picture of the result (optional)',
    required: 'Picture (required)',
    choose: 'Choose a picture',
    change: 'Choose another',
    remove: 'Remove picture',
    shown: 'Chosen picture',
    sending: 'Sending the picture…',
    ready: 'The picture is sent; confirm to attach it to the incident.',
    again: 'Send picture again',
    see: 'See picture',
    missing: 'Choose a picture.',
    trouble: {
      unreadable: 'This file is no JPEG, PNG or WebP picture. Choose another one.',
      large: 'The picture is too large: at most 10 MB and 25 megapixels. Choose a smaller one.',
      animated: 'This picture moves. Choose a still one.',
      mixed: 'There is something else in this picture file. Take it anew or choose another one.',
      broken: 'The picture is damaged. Choose another one.',
      busy: 'The server is busy with pictures. Send it again in a few seconds.',
      full: 'The server has no room for pictures. Tell the engineers; where no picture is required you can confirm without.',
      offline: 'The picture did not reach the server. Check the network and send it again.',
      failed: 'The server did not take this picture. Try again or choose another one.',
    },
    refused: { photo_unknown: 'the picture was sent too long ago, or belongs to another incident. Choose it again.' },
  },
}
