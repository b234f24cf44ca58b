import { mount } from 'svelte'
import Workbench from './Workbench.svelte'
import '../styles/fonts.css'
import '../styles/tokens.css'
import '../styles/base.css'
import '../styles/controls.css'
import '../styles/desk.css'
import '../styles/document.css'
import '../styles/mono.css'
import '../styles/skip.css'
import './workbench.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

export default mount(Workbench, { target })
