import { mount } from 'svelte'
import Leader from './Leader.svelte'
import '../styles/fonts.css'
import '../styles/tokens.css'
import '../styles/base.css'
import '../styles/controls.css'
import '../styles/desk.css'
import '../styles/document.css'
import '../styles/skip.css'
import './leader.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

export default mount(Leader, { target })
