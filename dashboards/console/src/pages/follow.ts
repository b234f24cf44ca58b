import { mount } from 'svelte'
import Follow from './follow/Follow.svelte'
import '../styles/page.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

export default mount(Follow, { target })
