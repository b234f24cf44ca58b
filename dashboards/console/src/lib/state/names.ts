/** What choices of the queue are called, in the chosen language. */
import { i18n } from '../i18n/index.svelte'
import type { StateFilter } from '../queue/filter'

export function stateName(choice: StateFilter): string {
  const { queue, handling } = i18n.t
  if (choice === 'open') return queue.anyState
  if (choice === 'shelved') return queue.shelved
  return choice === 'finished' ? queue.finished : handling[choice]
}
