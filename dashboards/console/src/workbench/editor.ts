/** The text editor: CodeMirror with the rules' schema and the server's findings. Loaded when a rule is opened. */
import { autocompletion, completionKeymap, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from '@codemirror/lint'
import { EditorState, type Text } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, hoverTooltip, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { inFlow, parents, type Path, type RuleSchema } from './schema'
import type { Finding } from './types'

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--accent)', fontWeight: '600' },
  { tag: tags.comment, color: 'var(--ink-3)', fontStyle: 'italic' },
  { tag: [tags.string, tags.content], color: 'var(--ink)' },
  { tag: [tags.punctuation, tags.separator, tags.brace, tags.squareBracket], color: 'var(--ink-2)' },
])

const looks = EditorView.theme({
  '&': { backgroundColor: 'var(--raised)', color: 'var(--ink)', height: '100%', fontSize: 'var(--text-m)' },
  '&.cm-focused': { outline: '2px solid var(--focus)' },
  '.cm-scroller': { fontFamily: 'var(--mono)', fontVariantLigatures: 'none', lineHeight: '1.55' },
  '.cm-content': { caretColor: 'var(--ink)', padding: '8px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--ink-2)', border: 'none', borderRight: '1px solid var(--line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--hover) 55%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--selected)' },
  '.cm-tooltip': { backgroundColor: 'var(--surface)', color: 'var(--ink)', border: '1px solid var(--line-strong)', maxWidth: '32rem' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--selected)', color: 'var(--ink)' },
  '.cm-completionInfo': { fontFamily: 'var(--font)' },
  '.cm-help': { padding: '8px 12px', maxWidth: '28rem' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--error)' },
  '.cm-panels': { backgroundColor: 'var(--surface)', color: 'var(--ink)' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--error)', textUnderlineOffset: '3px' },
})

export interface EditorOptions {
  parent: HTMLElement
  text: string
  label: string
  schema: RuleSchema | null
  onchange: (text: string) => void
}

export class Editor {
  readonly #view: EditorView

  constructor({ parent, text, label, schema, onchange }: EditorOptions) {
    // In a document the editor writes its rules into a <style>, which the page's policy forbids; in a shadow root it
    // adopts style sheets, which needs no exception.
    const root = parent.attachShadow({ mode: 'open' })
    this.#view = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(), lintGutter(), history(), drawSelection(), highlightActiveLine(), bracketMatching(),
          yaml(), syntaxHighlighting(colours), looks,
          EditorState.tabSize.of(2), EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', tabindex: '0' }),
          ...(schema ? [autocompletion({ override: [completes(schema)] }), explains(schema)] : []),
          // Tab leaves the editor, as everywhere on the page.
          keymap.of([...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) onchange(update.state.doc.toString())
          }),
        ],
      }),
    })
  }

  /** Show another text; the cursor stays where it can. */
  set(text: string): void {
    const now = this.#view.state.doc.toString()
    if (now !== text) this.#view.dispatch({ changes: { from: 0, to: now.length, insert: text } })
  }

  label(label: string): void {
    this.#view.contentDOM.setAttribute('aria-label', label)
  }

  mark(findings: readonly Finding[]): void {
    const { doc } = this.#view.state
    this.#view.dispatch(setDiagnostics(this.#view.state, findings.map((each) => diagnostic(doc, each))))
  }

  goTo(line: number, column: number): void {
    const { doc } = this.#view.state
    this.#view.dispatch({ selection: { anchor: offset(doc, line, column) }, scrollIntoView: true })
    this.#view.focus()
  }

  destroy(): void {
    this.#view.destroy()
  }
}

function offset(doc: Text, line: number, column: number): number {
  const found = doc.line(Math.min(Math.max(1, line), doc.lines))
  return Math.min(found.from + Math.max(0, column - 1), found.to)
}

function diagnostic(doc: Text, finding: Finding): Diagnostic {
  const from = offset(doc, finding.line, finding.column)
  const word = /^[\w.-]+/.exec(doc.sliceString(from, doc.lineAt(from).to))?.[0].length ?? 1
  const message = finding.suggestion ? `${finding.message}: ${finding.suggestion}` : finding.message
  return { from, to: Math.min(from + word, doc.length), severity: 'error', message }
}

/** The keys around the place, and what of it is typed already. */
function place(doc: Text, at: number): { path: Path; typed: string; value: boolean } {
  const line = doc.lineAt(at)
  const before = line.text.slice(0, at - line.from)
  const typed = /[\w.-]*$/.exec(before)![0]
  const indent = /^\s*/.exec(before)![0].length
  const around = parents(doc.toString().split('\n'), line.number - 1, indent)
  const flow = inFlow(before)
  if (flow) return { path: [...around, flow.key, ...(flow.inner ? [flow.inner] : [])], typed, value: flow.inner !== null }
  const key = /^\s*(?:- )?([A-Za-z_]+)\s*:/.exec(before)?.[1]
  return key ? { path: [...around, key], typed, value: true } : { path: around, typed, value: false }
}

function completes(schema: RuleSchema) {
  return ({ state, pos, explicit }: CompletionContext): CompletionResult | null => {
    const { path, typed, value } = place(state.doc, pos)
    if (!explicit && !typed) return null
    const options: Completion[] = value
      ? schema.values(path).map((each) => ({ label: each, type: 'enum' }))
      : schema.keys(path).map((each) => ({ label: each.name, info: each.help, apply: `${each.name}: `, type: 'property' }))
    return options.length ? { from: pos - typed.length, options, validFor: /^[\w.-]*$/ } : null
  }
}

function explains(schema: RuleSchema) {
  return hoverTooltip((view, at) => {
    const word = view.state.wordAt(at)
    if (!word) return null
    const name = view.state.sliceDoc(word.from, word.to)
    const { path } = place(view.state.doc, word.from)
    const help = schema.help([...path, name])
    if (!help || view.state.sliceDoc(word.to, word.to + 1) !== ':') return null
    return {
      pos: word.from,
      end: word.to,
      above: true,
      create: () => {
        const dom = document.createElement('div')
        dom.className = 'cm-help'
        dom.textContent = help
        return { dom }
      },
    }
  })
}
