import { mount } from 'svelte'
import Devices from './Devices.svelte'
import '../styles/fonts.css'
import '../styles/tokens.css'
import '../styles/base.css'
import '../styles/controls.css'
import '../styles/desk.css'
import '../styles/mono.css'
import '../styles/skip.css'
import './devices.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

export default mount(Devices, { target })
