import { mount } from 'svelte'
import Board from './board/Board.svelte'
import '../styles/page.css'

const target = document.getElementById('app')
if (!target) throw new Error('no #app')

export default mount(Board, { target })
