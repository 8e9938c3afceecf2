import { page } from '../../lib/page'
import { HomeScreen } from '../../screens/home'

page((app, show) => new HomeScreen(app, show))
