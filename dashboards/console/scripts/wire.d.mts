export function wireTypes(): Promise<string>
