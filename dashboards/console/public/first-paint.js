// Before the first paint: theme and language, so that nothing flashes. The page's policy allows no inline script.
{
  const recall = (key) => {
    try {
      return localStorage.getItem(key)
    } catch {
      return null
    }
  }
  const dark = matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.dataset.theme = recall('ioc.page-theme') ?? (dark ? 'dark' : 'light')
  document.documentElement.lang = recall('ioc.lang') === 'en' ? 'en' : 'vi'
}
