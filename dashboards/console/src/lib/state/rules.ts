/** People know a rule by what its incidents are called, so that is what the screen calls it. */
import { cityData } from './city.svelte'
import { live } from './live.svelte'

/** The rule's words in the chosen language; its id only while it has no incident. */
export function ruleTitle(rule: string): string {
  const example = live.incidents.find((incident) => incident.rule === rule)
  return example ? cityData.shortTitle(example) : rule
}
