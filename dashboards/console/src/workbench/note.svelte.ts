/** The reason being written for the next change; it outlives the panel, and a look at the history fills it in. */
export const note = $state({ text: '' })
