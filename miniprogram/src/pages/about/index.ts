import { page } from '../../lib/page'
import { AboutScreen } from '../../screens/about'

page((app, show) => new AboutScreen(app, show))
