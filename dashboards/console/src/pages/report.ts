import { mount } from 'svelte'
import Report from './report/Report.svelte'
import '../styles/page.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

export default mount(Report, { target })
