/** What the JSON Schema of rule files says of a key, and what may stand behind it. Pure. */

export interface SchemaNode {
  $ref?: string
  $defs?: Record<string, SchemaNode>
  description?: string
  enum?: (string | number | boolean)[]
  const?: string | number | boolean
  type?: string | string[]
  properties?: Record<string, SchemaNode>
  items?: SchemaNode
  anyOf?: SchemaNode[]
  oneOf?: SchemaNode[]
}

/** A key with the keys around it, outermost first. */
export type Path = string[]

export class RuleSchema {
  constructor(private readonly root: SchemaNode) {}

  /** The keys that may stand inside `path`; those of a rule for the empty path. */
  keys(path: Path): { name: string; help: string }[] {
    const found = new Map<string, string>()
    for (const node of this.#at(path)) {
      for (const [name, inner] of Object.entries(node.properties ?? {})) {
        if (!found.has(name)) found.set(name, this.#help(inner))
      }
    }
    return [...found].map(([name, help]) => ({ name, help }))
  }

  /** The values that the key at `path` may have, where they can be listed. */
  values(path: Path): string[] {
    const found = new Set<string>()
    for (const node of this.#at(path)) {
      for (const value of node.enum ?? (node.const === undefined ? [] : [node.const])) found.add(String(value))
      if (node.type === 'boolean') for (const value of ['true', 'false']) found.add(value)
    }
    return [...found]
  }

  help(path: Path): string {
    const last = path.at(-1)
    return last === undefined ? '' : (this.keys(path.slice(0, -1)).find((key) => key.name === last)?.help ?? '')
  }

  #at(path: Path): SchemaNode[] {
    let nodes = this.#spread(this.root.$defs?.rule ?? this.root)
    for (const name of path) nodes = nodes.flatMap((node) => (node.properties?.[name] ? this.#spread(node.properties[name]) : []))
    return nodes
  }

  /** A node with everything it may be instead. */
  #spread(node: SchemaNode, depth = 0): SchemaNode[] {
    if (depth > 8) return []
    const target = this.#target(node)
    const inner = [...(target.anyOf ?? []), ...(target.oneOf ?? []), ...(target.items ? [target.items] : [])]
    return [target, ...inner.flatMap((each) => this.#spread(each, depth + 1))]
  }

  #target(node: SchemaNode): SchemaNode {
    const name = node.$ref?.split('/').at(-1)
    return (name && this.root.$defs?.[name]) || node
  }

  #help(node: SchemaNode): string {
    return node.description ?? this.#target(node).description ?? ''
  }
}

const KEY = /^(\s*(?:- )?)([A-Za-z_]+)\s*:/

/** The keys around a line, by indentation, outermost first; `indent` is that of the line. */
export function parents(lines: readonly string[], line: number, indent: number): Path {
  const path: Path = []
  let most = indent
  for (let index = line - 1; index >= 0 && most > 0; index -= 1) {
    const text = lines[index] ?? ''
    if (text.startsWith('---')) break
    const found = KEY.exec(text)
    if (!found) continue
    const depth = found[1]!.length
    if (depth < most) {
      path.unshift(found[2]!)
      most = depth
    }
  }
  return path
}

/** Where in a flow mapping `{a: 1, b: …` the end of `text` is: the key before the brace, and the one behind a colon. */
export function inFlow(text: string): { key: string; inner: string | null } | null {
  const found = /([A-Za-z_]+)\s*:\s*\{([^{}]*)$/.exec(text)
  if (!found) return null
  const last = found[2]!.split(',').at(-1)!
  return { key: found[1]!, inner: /([A-Za-z_]+)\s*:\s*\S*$/.exec(last)?.[1] ?? null }
}
