import { page } from '../../lib/page'
import { HistoryScreen } from '../../screens/history'

page((app, show) => new HistoryScreen(app, show))
