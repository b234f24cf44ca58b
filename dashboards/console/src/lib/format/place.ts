/** Ward names without their rank: where room is short "Thủ Dầu Một" reads faster than "Phường Thủ Dầu Một". */
export function shortName(name: string): string {
  return name.replace(/^(Phường|Xã|Đặc khu|Thị trấn)\s+/u, '').replace(/\s+(Ward|Commune)$/u, '')
}
