/** Who is signed in. `unknown` until the server has answered once. */
import { actAs, api, ApiError } from '../api/client'
import type { Enrolment, Me } from '../api/types'
import { i18n } from '../i18n/index.svelte'
import { recall } from './storage'

export type LoginError = 'refused' | 'many' | 'unreachable' | 'denied' | 'away' | 'wrongCode' | 'unreadableCode'

class Session {
  me = $state.raw<Me | null>(null)
  phase = $state<'unknown' | 'out' | 'in'>('unknown')
  expired = $state(false)
  /** Set while a code of the second factor is asked for; with what an app needs where it is the first one. */
  asked = $state.raw<{ enrolment: Enrolment | null } | null>(null)
  /** Who left last. For anybody else the page begins anew, so that nothing of theirs stays on it. */
  #before: string | null = null

  async restore(): Promise<void> {
    try {
      this.#enter(await api.me())
    } catch {
      this.phase = 'out'
    }
  }

  /** Returns what to tell the person, or null when they are in or only a code is missing. */
  async login(user: string, password: string, code = ''): Promise<LoginError | null> {
    try {
      this.#enter(await api.login(user, password, code))
      this.asked = null
      return null
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 0
      const wanted = error instanceof ApiError ? error.problem.errors?.find(({ field }) => field === 'code') : undefined
      if (status === 401 && wanted) {
        this.asked = { enrolment: (error as ApiError).problem.enrolment ?? null }
        if (wanted.rule === 'code_unreadable') return 'unreadableCode'
        return wanted.rule === 'code_wrong' ? 'wrongCode' : null
      }
      if (status === 429) return 'many'
      return status >= 400 && status < 500 ? 'refused' : 'unreachable'
    }
  }

  /** Leave when the server says that the session is over, or another's; any other trouble changes nothing. */
  async verify(): Promise<void> {
    try {
      const { user } = await api.me()
      if (this.me && this.me.user !== user) this.leave(true)
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && this.phase === 'in') this.leave(true)
    }
  }

  async logout(): Promise<void> {
    try {
      await api.logout()
    } finally {
      this.leave(false)
    }
  }

  leave(expired: boolean): void {
    actAs(null)
    this.#before = this.me?.user ?? this.#before
    this.me = null
    this.expired = expired
    this.phase = 'out'
  }

  #enter(me: Me): void {
    if (this.#before !== null && this.#before !== me.user) return location.reload()
    // Another tab of this browser may log in as somebody else: nothing of what follows may be done in their name.
    actAs(me.user, () => this.leave(true))
    // A choice made on this machine counts for more than the account's.
    if (recall('lang', ['vi', 'en', ''], '') === '') i18n.set(me.lang)
    this.me = me
    this.expired = false
    this.phase = 'in'
  }
}

export const session = new Session()
