import { mount } from 'svelte'
import App from './App.svelte'
import './styles/fonts.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

export default mount(App, { target })
