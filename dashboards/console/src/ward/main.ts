import { mount } from 'svelte'
import Ward from './Ward.svelte'
import '../styles/fonts.css'
import '../styles/tokens.css'
import '../styles/base.css'
import '../styles/controls.css'
import './ward.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

// Without it (http without TLS, private window) the page works, only not without a network.
if ('serviceWorker' in navigator && import.meta.env.PROD) {
  navigator.serviceWorker.register('/ward-sw.js', { scope: '/ward' }).catch((error: unknown) => console.info('offline use', error))
}

export default mount(Ward, { target })
