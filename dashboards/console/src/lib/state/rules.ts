/** People know a rule by what its incidents are called, so that is what the screen calls it. */
import { i18n } from '../i18n/index.svelte'
import { term } from '../i18n/terms'
import { sharedName } from '../queue/order'
import { cityData } from './city.svelte'
import { live } from './live.svelte'

/** The rule's words in the chosen language; where its incidents differ in them, their category; its id only while it has none. */
export function ruleTitle(rule: string): string {
  const raised = live.incidents.filter((incident) => incident.rule === rule)
  const [example] = raised
  if (!example) return rule
  return sharedName(raised.map((incident) => cityData.shortTitle(incident)), term(example.category, i18n.lang))
}
